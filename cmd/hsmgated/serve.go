package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/hsmgate/hsmgate/gateway"
)

func newServe() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:     "serve --config FILE",
		Short:   "Serve the gateway by a configuration file",
		Example: "  hsmgated serve --config /etc/hsmgate/hsmgated.yaml",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if path == "" {
				return &usageError{errors.New("--config is missing: which configuration file?")}
			}
			c, err := configOf(path, "")
			if err != nil {
				return err
			}
			return serve(cmd.Context(), c, func(_ context.Context, d *daemon) error {
				fmt.Printf("%s serves %s\n", versionText(), d.url)
				return nil
			})
		},
	}
	c.Flags().StringVar(&path, "config", "", "configuration file (docs/configuration.md)")
	return c
}

// serve opens everything, calls hello when the daemon is ready to serve, and
// serves until ctx ends.
func serve(ctx context.Context, c *Config, hello func(context.Context, *daemon) error) (err error) {
	level, err := zapcore.ParseLevel(c.Log.Level)
	if err != nil {
		return err
	}
	log := gateway.NewLog(os.Stderr, level)
	defer func() { err = errors.Join(err, log.Sync()) }()
	d, err := openDaemon(ctx, c, log)
	if err != nil {
		return err
	}
	background, stop := context.WithCancel(ctx)
	defer func() {
		stop()
		err = errors.Join(err, d.close())
		if err == nil {
			log.Info("stopped")
		}
	}()
	if err := d.firstAdministrator(ctx); err != nil {
		return err
	}
	d.start(background)
	if !c.tls() && !isLoopback(d.listener.Addr().String()) {
		log.Warn("plain HTTP is served on an address that is not loopback: whoever can read the traffic has the credentials", zap.String("address", d.listener.Addr().String()))
		fmt.Printf("warning: plain HTTP on %s: whoever can read the traffic has the credentials\n", d.listener.Addr())
	}
	if err := hello(ctx, d); err != nil {
		return err
	}
	d.sinks.Start() // not before: one may write to standard output, too
	return d.serve(ctx, func() { log.Info("serving", zap.String("url", d.url), zap.String("version", version)) })
}

// configOf loads the configuration named by --config, or that of a state folder
// of quickstart.
func configOf(path, state string) (*Config, error) {
	switch {
	case path != "" && state != "":
		return nil, &usageError{errors.New("--config and --state exclude each other")}
	case path == "" && state == "":
		return nil, &usageError{errors.New("--config or --state is missing: which configuration file, or which state folder?")}
	case state != "":
		path = stateFolder(state).config()
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return nil, &hintedError{&usageError{fmt.Errorf("there is no gateway in %s: %s is missing", state, path)},
				"'make run STATE=" + state + "' or 'hsmgated quickstart --state " + state + "' makes it"}
		}
	}
	c, err := loadConfig(path)
	if err != nil {
		return nil, &usageError{err}
	}
	return c, nil
}
