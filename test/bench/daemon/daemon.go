// Package daemon runs real hsmgated processes on SoftHSM tokens of their own, for the benchmark and the crash tests.
package daemon

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// Label is the label of every token that New makes.
const Label = "hsmgate"

// PIN of every token that New makes; its keys are thrown away with it.
const PIN = "1234567890123456"

// Build builds hsmgated into a folder and returns the program's path. The Go command's cache makes a second build cheap.
func Build(dir string, flags ...string) (string, error) {
	bin := filepath.Join(dir, "hsmgated")
	args := append([]string{"build", "-trimpath", "-o", bin}, flags...)
	cmd := exec.Command("go", append(args, "github.com/hsmgate/hsmgate/cmd/hsmgated")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("hsmgated does not build: %w\n%s", err, out)
	}
	return bin, nil
}

// Options of a State, for its configuration file. Zero values leave the daemon its default.
type Options struct {
	Module         string   // PKCS#11 library; "" is SoftHSM's
	Env            []string // of the process, NAME=value; SOFTHSM2_CONF is there by itself
	Listen         string   // address; "" is a free port of 127.0.0.1 at each start
	MaxSessions    int
	CallTimeout    time.Duration
	AuditTimeout   time.Duration
	SkipECDSACheck bool
	GOMAXPROCS     int
	LogLevel       string        // of the operations log
	Overlap        time.Duration // of rotations
	AuditFolder    string        // "" is audit in the state folder
	StoreDSN       string        // of a PostgreSQL database; "" is a file in the state folder
	Sinks          []any         // of the audit log, as they stand in the configuration
	Wrapper        []string      // a command that the daemon's is appended to; it has to keep the process id
}

// State is a folder with everything that one daemon needs: token, configuration, database and audit log.
type State struct {
	Dir, Bin string
	Options  Options
}

// New makes a State with a fresh SoftHSM token in an existing folder.
func New(dir, bin string, o Options) (*State, error) {
	s := &State{Dir: dir, Bin: bin, Options: o}
	if s.Options.Module == "" {
		module, err := SoftHSM()
		if err != nil {
			return nil, err
		}
		s.Options.Module = module
	}
	if err := os.Mkdir(filepath.Join(dir, "token"), 0o700); err != nil {
		return nil, err
	}
	conf := "directories.tokendir = " + filepath.Join(dir, "token") + "\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n"
	if err := os.WriteFile(s.SoftHSMConf(), []byte(conf), 0o600); err != nil {
		return nil, err
	}
	if err := os.WriteFile(s.pinFile(), []byte(PIN), 0o600); err != nil {
		return nil, err
	}
	init := exec.Command("softhsm2-util", "--init-token", "--free", "--label", Label, "--so-pin", PIN, "--pin", PIN)
	init.Env = append(os.Environ(), "SOFTHSM2_CONF="+s.SoftHSMConf())
	if out, err := init.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("the token cannot be made: %w\n%s", err, out)
	}
	return s, s.Configure()
}

// Twin makes a second State on the same token, with the credentials and the same PostgreSQL database, or a copy of the file, so that it
// knows the same keys. The daemon of s has to be stopped while its file is copied.
func (s *State) Twin(dir string, o Options) (*State, error) {
	o.StoreDSN = s.Options.StoreDSN
	o.Module, o.Env = s.Options.Module, append(o.Env, "SOFTHSM2_CONF="+s.SoftHSMConf())
	twin := &State{Dir: dir, Bin: s.Bin, Options: o}
	files := []string{"seal.key", "pin", "admin.env"}
	if o.StoreDSN == "" {
		files = append(files, "hsmgate.db")
	}
	for _, name := range files {
		data, err := os.ReadFile(filepath.Join(s.Dir, name))
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return nil, err
		}
	}
	return twin, twin.Configure()
}

// SoftHSM finds SoftHSM's library where Debian, Fedora and Homebrew put it; SOFTHSM2_MODULE comes first.
func SoftHSM() (string, error) {
	if path := os.Getenv("SOFTHSM2_MODULE"); path != "" {
		return path, nil
	}
	for _, pattern := range []string{"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/*/softhsm/libsofthsm2.so", "/usr/lib64/*/libsofthsm2.so",
		"/usr/local/lib/softhsm/libsofthsm2.so", "/opt/homebrew/lib/softhsm/libsofthsm2.so"} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return found[0], nil
		}
	}
	return "", fmt.Errorf("SoftHSM's library libsofthsm2.so is not here: install softhsm2, or name it with SOFTHSM2_MODULE")
}

// Configure writes the configuration file anew, by Options.
func (s *State) Configure() error {
	token := map[string]any{"module": s.Options.Module, "label": Label, "pin_file": "pin"}
	if s.Options.MaxSessions != 0 {
		token["max_sessions"] = s.Options.MaxSessions
	}
	if s.Options.CallTimeout != 0 {
		token["call_timeout"] = s.Options.CallTimeout.String()
	}
	if s.Options.SkipECDSACheck {
		token["skip_ecdsa_check"] = true
	}
	log := map[string]any{"path": s.AuditLog()}
	if s.Options.AuditTimeout != 0 {
		log["timeout"] = s.Options.AuditTimeout.String()
	}
	if len(s.Options.Sinks) > 0 {
		log["sinks"] = s.Options.Sinks
	}
	config := map[string]any{
		"listen": cmp.Or(s.Options.Listen, "127.0.0.1:0"), "token": token, "audit": log,
		"first_administrator": map[string]any{"name": "admin", "env_file": "admin.env"},
	}
	if s.Options.StoreDSN != "" {
		config["store_dsn_file"] = "dsn"
		if err := os.WriteFile(filepath.Join(s.Dir, "dsn"), []byte(s.Options.StoreDSN+"\n"), 0o600); err != nil {
			return err
		}
	}
	if s.Options.LogLevel != "" {
		config["log"] = map[string]any{"level": s.Options.LogLevel}
	}
	if s.Options.Overlap != 0 {
		config["rotation"] = map[string]any{"overlap": s.Options.Overlap.String()}
	}
	if s.Options.GOMAXPROCS != 0 {
		config["gomaxprocs"] = s.Options.GOMAXPROCS
	}
	text, err := yaml.Marshal(config)
	if err != nil {
		return err
	}
	return os.WriteFile(s.config(), text, 0o600)
}

// SoftHSMConf is SoftHSM's configuration file of the State's own token.
func (s *State) SoftHSMConf() string { return filepath.Join(s.Dir, "softhsm2.conf") }

// AuditLog is the path of the audit log.
func (s *State) AuditLog() string {
	if s.Options.AuditFolder != "" {
		return filepath.Join(s.Options.AuditFolder, "audit.log")
	}
	return filepath.Join(s.Dir, "audit", "audit.log")
}

// Log is the path of what the daemon says on standard error, over all its starts.
func (s *State) Log() string { return filepath.Join(s.Dir, "hsmgated.log") }

func (s *State) pinFile() string { return filepath.Join(s.Dir, "pin") }
func (s *State) config() string  { return filepath.Join(s.Dir, "hsmgated.yaml") }

// Command is hsmgated with these arguments, in the environment of the token.
func (s *State) Command(args ...string) *exec.Cmd {
	argv := append(append(append([]string{}, s.Options.Wrapper...), s.Bin), args...)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "SOFTHSM2_CONF="+s.SoftHSMConf())
	cmd.Env = append(cmd.Env, s.Options.Env...)
	return cmd
}

// credentials reads a file of credentials: admin.env is the one that the daemon keeps for its first administrator.
func (s *State) credentials(file string) (map[string]string, error) {
	text, err := os.ReadFile(filepath.Join(s.Dir, file))
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, line := range strings.Split(string(text), "\n") {
		name, value, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		if ok && !strings.HasPrefix(name, "#") {
			found[name] = strings.Trim(value, `'"`)
		}
	}
	return found, nil
}
