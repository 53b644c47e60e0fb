//go:build unix

package providertest

import (
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
)

// The undertaker is a shell that reads commands until this process is gone,
// which closes its pipe even when the process was killed, and then runs them,
// the last one first. It holds on to stderr, so that go test waits for it.
const undertakerScript = `trap '' HUP INT TERM
todo=
while IFS= read -r line; do todo="$line
$todo"; done
eval "$todo"`

var undertaker = sync.OnceValues(func() (io.Writer, error) {
	cmd := exec.Command("/bin/sh", "-c", undertakerScript)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // not killed with our process group
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	return in, cmd.Start()
})

// atEnd has one line of shell run after this process ended.
func atEnd(command string) error {
	in, err := undertaker()
	if err != nil {
		return err
	}
	_, err = io.WriteString(in, command+"\n")
	return err
}

// quote writes s as one word of the shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
