# The image: both programs, SoftHSM's library, and nothing secret: PINs, keys and credentials are made at the first
# start, in the volume /var/lib/hsmgate. Runs as a user of its own, with a read-only root file system if asked to.

FROM golang:1.26-bookworm AS build
WORKDIR /src
# A module mirror of your own, where the default one is out of reach; empty is Go's default.
ARG GOPROXY=
# Modules and SQLite, which takes a minute to compile, change with go.mod alone: a layer of their own keeps them.
COPY go.mod go.sum ./
RUN go mod download && go build -trimpath github.com/mattn/go-sqlite3 github.com/miekg/pkcs11
ARG VERSION=unknown
COPY . .
RUN go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /out/hsmgated ./cmd/hsmgated \
 && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /out/hsmgate ./cmd/hsmgate

FROM debian:bookworm-slim
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends libsofthsm2 \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/* \
 && groupadd --gid 10001 hsmgate \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/hsmgate --shell /usr/sbin/nologin hsmgate \
 && install -d -o hsmgate -g hsmgate -m 0700 /var/lib/hsmgate
COPY --from=build /out/ /usr/local/bin/
COPY softhsm-config/ /usr/local/share/hsmgate/
USER 10001:10001
WORKDIR /tmp
VOLUME /var/lib/hsmgate
EXPOSE 8080
# /readyz asks the token itself.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["hsmgated", "healthcheck", "--state", "/var/lib/hsmgate"]
ENTRYPOINT ["/usr/local/share/hsmgate/entrypoint.sh"]
