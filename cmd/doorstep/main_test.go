package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sync/errgroup"

	"github.com/doorstep-id/doorstep/provider/api"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"doorstep": main})
}

// TestScripts runs testdata/script: each line is the real binary's command line,
// in a directory and an environment of its own.
func TestScripts(t *testing.T) { testscript.Run(t, ScriptParams("script")) }

// ScriptParams runs the scripts of a directory in testdata, with these variables.
func ScriptParams(dir string, environ ...string) testscript.Params {
	return testscript.Params{
		Dir: filepath.Join("testdata", dir),
		Setup: func(e *testscript.Env) error {
			e.Vars = append(e.Vars, environ...)
			for _, name := range []string{"PORT", "OPS_PORT", "SHOP_PORT"} {
				port, err := freePort()
				if err != nil {
					return err
				}
				e.Setenv(name, strconv.Itoa(port))
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "await": await, "until": until, "answers": answers, "posts": posts, "crowd": crowd, "occupy": occupy, "dangle": dangle,
			"both": both, "certify": certify, "keep": keep, "agree": agree, "passkey": passkey, "visit": visit,
		},
	}
}

// exits CODE PROGRAM ARG... runs a program that must exit with that code.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: exits code program arg...")
	}
	var (
		err  = ts.Exec(args[1], args[2:]...)
		code = "0"
		exit *exec.ExitError
	)
	if errors.As(err, &exit) {
		code = strconv.Itoa(exit.ExitCode())
	} else {
		ts.Check(err)
	}
	if code != args[0] {
		ts.Fatalf("exit code %s, want %s", code, args[0])
	}
}

// changed is when something was changed, as commands print it.
var changed = regexp.MustCompile(`updated_at"?:? +"?[^"\s]+`)

// both CODE ARG... runs doorstep on the database, and then at the server at $SERVER:
// both have to exit with that code and to print and say the same, but for when the second
// one changed something.
func both(ts *testscript.TestScript, neg bool, args []string) {
	command := append([]string{args[0], "doorstep"}, args[1:]...)
	exits(ts, neg, command)
	printed, said := ts.ReadFile("stdout"), ts.ReadFile("stderr")
	exits(ts, neg, append(command, "--server", ts.Getenv("SERVER")))
	if there := ts.ReadFile("stdout"); changed.ReplaceAllString(there, "") != changed.ReplaceAllString(printed, "") {
		ts.Fatalf("the database printed\n%s\nthe server\n%s", printed, there)
	}
	if there := ts.ReadFile("stderr"); there != said {
		ts.Fatalf("the database said\n%s\nthe server\n%s", said, there)
	}
}

// await PORT waits until somebody listens there, ! await PORT until nobody does.
func await(ts *testscript.TestScript, neg bool, args []string) {
	deadline := time.Now().Add(20 * time.Second)
	for {
		c, err := net.DialTimeout("tcp", "127.0.0.1:"+args[0], time.Second)
		if err == nil {
			ts.Check(c.Close())
		}
		if neg == (err != nil) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("waited too long for port %s: %v", args[0], err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// until TEXT PROGRAM ARG... runs a program, again and again, until it prints the text.
func until(ts *testscript.TestScript, _ bool, args []string) {
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		err := ts.Exec(args[1], args[2:]...)
		if err == nil && strings.Contains(ts.ReadFile("stdout"), args[0]) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("waited too long for %q: %v", args[0], err)
		}
	}
}

// answers STATUS URL waits until a GET of that URL is answered with that status.
func answers(ts *testscript.TestScript, _ bool, args []string) {
	deadline := time.Now().Add(20 * time.Second)
	for {
		status, err := get(args[1])
		if err == nil && strconv.Itoa(status) == args[0] {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("waited too long for %s: status %d, %v", args[1], status, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// posts STATUS URL FORM posts a form there, which must be answered with that status.
func posts(ts *testscript.TestScript, _ bool, args []string) {
	res, err := http.Post(args[1], "application/x-www-form-urlencoded", strings.NewReader(args[2]))
	ts.Check(err)
	ts.Check(res.Body.Close())
	if strconv.Itoa(res.StatusCode) != args[0] {
		ts.Fatalf("status %d, want %s", res.StatusCode, args[0])
	}
}

// crowd COUNT URL gets that URL that many times at once; each has to be answered 200.
func crowd(ts *testscript.TestScript, _ bool, args []string) {
	count, err := strconv.Atoi(args[0])
	ts.Check(err)
	var all errgroup.Group
	for range count {
		all.Go(func() error {
			status, err := get(args[1])
			if err == nil && status != http.StatusOK {
				err = fmt.Errorf("status %d", status)
			}
			return err
		})
	}
	ts.Check(all.Wait())
}

func get(url string) (status int, err error) {
	res, err := http.Get(url)
	if err != nil {
		return 0, err
	}
	return res.StatusCode, res.Body.Close()
}

// certify CERT KEY writes a certificate of its own making and its key.
func certify(ts *testscript.TestScript, _ bool, args []string) {
	s := settings{TLSCert: ts.MkAbs(args[0]), TLSKey: ts.MkAbs(args[1])}
	ts.Check(makePair(&s, 1, time.Now()))
}

// occupy PORT listens there until the script ends.
func occupy(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:"+args[0])
	ts.Check(err)
	ts.Defer(func() { ts.Check(l.Close()) })
}

// dangle PORT begins a request and never ends it. It returns when the server waits
// for the rest: asked to, it says so (RFC 9110 section 10.1.1).
func dangle(ts *testscript.TestScript, _ bool, args []string) {
	c, err := net.Dial("tcp", "127.0.0.1:"+args[0])
	ts.Check(err)
	ts.Defer(func() { ts.Check(c.Close()) })
	_, err = c.Write([]byte("POST /oauth2/token HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n" +
		"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 8\r\n\r\n"))
	ts.Check(err)
	ts.Check(c.SetReadDeadline(time.Now().Add(20 * time.Second)))
	line, err := bufio.NewReader(c).ReadString('\n')
	ts.Check(err)
	if !strings.HasPrefix(line, "HTTP/1.1 100 ") {
		ts.Fatalf("the server does not wait for the body: %q", line)
	}
}

// keep VARIABLE MEMBER sets a variable to the text of a member of the JSON object
// that the last command printed.
func keep(ts *testscript.TestScript, _ bool, args []string) {
	_, after, ok := bytes.Cut([]byte(ts.ReadFile("stdout")), []byte(strconv.Quote(args[1])+`: "`))
	text, _, closed := bytes.Cut(after, []byte(`"`))
	if !ok || !closed {
		ts.Fatalf("stdout has no text member %q", args[1])
	}
	ts.Setenv(args[0], string(text))
}

// freePort is one that nobody listened on a moment ago, below those that the kernel hands out by itself: of these
// somebody's connection could have it by now.
func freePort() (port int, err error) {
	for range 100 {
		port = 10_000 + rand.IntN(20_000)
		var l net.Listener
		if l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return port, l.Close()
		}
	}
	return 0, err
}

// FreePort is freePort for tests that see the command from outside.
func FreePort() (int, error) { return freePort() }

// Snippet is a program that --snippet prints, for tests that see the command from outside.
func Snippet(issuer string, v *api.Client, language string) (string, error) {
	s, err := newSnippet(issuer, v)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	err = s.write(&b, language)
	return b.String(), err
}

// Run carries out a command line, for tests that see the command from outside.
func Run(now func() time.Time, environ, args []string) (code int, printed, said string) {
	var stdout, stderr bytes.Buffer
	a := &app{stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, now: now, environ: environ}
	code = a.run(args)
	return code, stdout.String(), stderr.String()
}
