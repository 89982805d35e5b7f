package scripts

import (
	"fmt"
	"os"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/hsmgate/hsmgate/gateway/witness/witnesstest"
)

// cmdWitness starts a witness that knows the log of a key: witness NAME LOGKEY. Its key goes to NAME.key, and what the
// daemon's configuration says of it to NAME.yaml. It is ended with the script.
func cmdWitness(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "witness NAME LOGKEY")
	w, stop, err := witnesstest.Start(args[0]+".example", ts.ReadFile(args[1]))
	ts.Check(err)
	ts.Defer(stop)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".key"), []byte(w.Key+"\n"), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".yaml"), fmt.Appendf(nil, "{url: %q, key: %q}", w.URL, w.Key), 0o600))
}
