package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// modeVariable makes this program one of the processes that are measured, so that each has CPU time of its own.
const modeVariable = "HSMGATE_BENCH_PROCESS"

// The processes. Each reads commands from standard input, one JSON object a line, and answers each with one line.
var modes = map[string]func(json.RawMessage) (any, error){
	"bare": bareCommand, "floor": floorCommand, "load": loadCommand, "secret": secretCommand, "fill": fillCommand, "log": logCommand,
}

// serveCommands is the main function of such a process. It ends with its standard input.
func serveCommands(mode string) int {
	command, ok := modes[mode]
	if !ok {
		fmt.Fprintf(os.Stderr, "bench: error: %s=%s names no process of the benchmark\n", modeVariable, mode)
		return 2
	}
	in, out := json.NewDecoder(bufio.NewReader(os.Stdin)), json.NewEncoder(os.Stdout)
	for {
		var line json.RawMessage
		if err := in.Decode(&line); err != nil {
			return 0
		}
		var answer reply
		result, err := command(line)
		if err != nil {
			answer.Error = err.Error()
		} else if answer.Result, err = json.Marshal(result); err != nil {
			answer.Error = err.Error()
		}
		if out.Encode(answer) != nil {
			return 1
		}
	}
}

type reply struct {
	Result json.RawMessage `json:"result,omitempty"`
	Error  string          `json:"error,omitempty"`
}

// child is such a process as its parent sees it.
type child struct {
	mode string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *json.Decoder
	once sync.Once
}

func startChild(mode string, env ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{mode: mode, cmd: exec.Command(self)}
	c.cmd.Env = append(append(os.Environ(), modeVariable+"="+mode), env...)
	c.cmd.Stderr = os.Stderr
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // none stays behind
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = json.NewDecoder(bufio.NewReader(out))
	return c, c.cmd.Start()
}

// ask sends a command and waits for its answer.
func (c *child) ask(command, result any) error {
	line, err := json.Marshal(command)
	if err != nil {
		return err
	}
	if _, err := c.in.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("the process %s is gone: %w", c.mode, err)
	}
	var r reply
	if err := c.out.Decode(&r); err != nil {
		return fmt.Errorf("the process %s is gone: %w", c.mode, err)
	}
	if r.Error != "" {
		return errors.New(c.mode + ": " + r.Error)
	}
	return json.Unmarshal(r.Result, result)
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// stop ends the process by the end of its input. It may be called more than once.
func (c *child) stop() {
	c.once.Do(func() {
		c.in.Close()
		late := time.AfterFunc(10*time.Second, func() { _ = c.cmd.Process.Kill() })
		_ = c.cmd.Wait() // its answers were read; how it ends says nothing more
		late.Stop()
	})
}
