package main_test

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/providertest"
)

// A newcomer's house: a server of its own, and what its commands are run with.
type newcomer struct {
	t    *testing.T
	env  []string
	page *providertest.Page
}

// TestBrowserNewcomersTenMinutes: from nothing to an application that signs people in,
// as a newcomer does it, with every command and program as a process of its own.
func TestBrowserNewcomersTenMinutes(t *testing.T) {
	modules := providertest.OpenIDClientModules(t)
	page, dir, port := providertest.Chromium(t), t.TempDir(), freePort(t)
	issuer, app := "http://localhost:"+port, "http://localhost:"+freePort(t)
	n := &newcomer{t, append(os.Environ(), "DOORSTEP_ISSUER="+issuer, "DOORSTEP_OPS_LISTEN=off", "DOORSTEP_DATABASE__URL=sqlite://"+filepath.ToSlash(dir)+"/doorstep.db"), page}

	// serve prints a link, by which the first operator comes in.
	link := n.start(regexp.MustCompile(`http://\S+/setup\?key=\S+`), "", "doorstep", "serve")
	if page.Open(link); page.URL() != issuer+"/setup" {
		t.Fatalf("the link leads to %s", page.URL())
	}
	const email, password = "grace@example.com", "four horses on a hill"
	page.Fill("#name", "Grace Hopper")
	page.Fill("#email", email)
	page.Fill("#password", password)
	if status := page.Follow("button.primary"); status != http.StatusOK || !strings.Contains(page.Text("main"), "doorstep client create --type web") {
		t.Fatalf("set-up ends with status %d at %s: %s", status, page.URL(), page.Text("body"))
	}

	// A program that runs as it is, and signs her in.
	program := n.run("", "client", "create", "--type", "web", "--id", "app", "--name", "My app", "--redirect-uri", app+"/callback", "--snippet", "node")
	secret := regexp.MustCompile(`dsk_[\w-]{43}`).FindString(program)
	work := t.TempDir()
	if err := os.WriteFile(filepath.Join(work, "app.mjs"), []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(modules, filepath.Join(work, "node_modules")); err != nil {
		t.Fatal(err)
	}
	n.start(regexp.MustCompile(`open http://\S+`), work, "node", "app.mjs")
	if status := page.Open(app); status != http.StatusOK || !strings.HasPrefix(page.URL(), issuer+"/signin/consent") {
		t.Fatalf("the program leads to %s, status %d: %s", page.URL(), status, page.Text("body"))
	}
	page.Follow("button[value=allow]")
	n.wantPerson(app, email)

	// Its secret changes, and the running program goes on.
	fresh := regexp.MustCompile(`dsk_[\w-]{43}`).FindString(n.run("", "client", "rotate-secret", "app"))
	if fresh == "" || fresh == secret {
		t.Fatalf("the secret %q became %q", secret, fresh)
	}
	again := providertest.Chromium(t)
	again.Open(app)
	again.Fill("#identifier", email)
	again.Fill("#password", password)
	again.Follow("button.primary")
	if body := again.Text("body"); !strings.Contains(body, email) {
		t.Fatalf("after the rotation the program shows %s at %s", body, again.URL())
	}

	n.try(email)
	n.tryService()
}

// wantPerson ends the test unless the program shows who is signed in.
func (n *newcomer) wantPerson(app, email string) {
	n.t.Helper()
	if body := n.page.Text("body"); !strings.HasPrefix(n.page.URL(), app) || !strings.Contains(body, email) {
		n.t.Fatalf("the program shows %s at %s", body, n.page.URL())
	}
}

// try runs 'client try' for a native client, signs in, and reads the claims.
func (n *newcomer) try(email string) {
	n.t.Helper()
	n.run("", "client", "create", "--type", "native", "--id", "phone", "--name", "Phone", "--redirect-uri", "http://127.0.0.1/callback")
	var out bytes.Buffer
	address := n.startTo(&out, regexp.MustCompile(`http://\S+/oauth2/authorize\S+`), "", "doorstep", "client", "try", "phone", "--no-browser")
	n.page.Open(address.found)
	n.page.Follow("button[value=allow]")
	if body := n.page.Text("body"); !strings.Contains(body, "Go back to the terminal") {
		n.t.Fatalf("the trial shows %s at %s", body, n.page.URL())
	}
	if err := address.wait(); err != nil {
		n.t.Fatalf("client try: %v", err)
	}
	for _, want := range []string{"ID token", "access token", "userinfo", `"pwd"`, "whom it is about", `"` + email + `"`, "ties it to the request"} {
		if !strings.Contains(out.String(), want) {
			n.t.Errorf("%q is not in what client try prints:\n%s", want, &out)
		}
	}
	if strings.Contains(out.String(), "eyJ") {
		n.t.Errorf("client try prints tokens that nobody asked for:\n%s", &out)
	}
}

// tryService runs it for a service, which needs no browser.
func (n *newcomer) tryService() {
	n.t.Helper()
	secret := regexp.MustCompile(`dsk_[\w-]{43}`).FindString(n.run("", "client", "create", "--type", "service", "--id", "job", "--name", "Job"))
	out := n.run(secret+"\n", "client", "try", "job", "--secret-stdin", "--raw")
	if !strings.Contains(out, `"job"`) || !strings.Contains(out, "raw  eyJ") {
		n.t.Errorf("client try of a service prints\n%s", out)
	}
}

// run runs a command to its end and returns what it printed.
func (n *newcomer) run(stdin string, args ...string) string {
	n.t.Helper()
	cmd := exec.Command("doorstep", args...)
	cmd.Env, cmd.Stdin = n.env, strings.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		n.t.Fatalf("doorstep %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return string(out)
}

// A started is a process that said what was waited for.
type started struct {
	found string
	wait  func() error
}

// start starts a process that runs until the test ends, and returns what it says first
// that fits.
func (n *newcomer) start(says *regexp.Regexp, dir, program string, args ...string) string {
	n.t.Helper()
	return n.startTo(io.Discard, says, dir, program, args...).found
}

// startTo is start for a process whose stdout goes to out, if what fits is said on
// stderr, and that may end.
func (n *newcomer) startTo(out io.Writer, says *regexp.Regexp, dir, program string, args ...string) *started {
	n.t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env, cmd.Dir = n.env, dir
	r, w, err := os.Pipe()
	if err != nil {
		n.t.Fatal(err)
	}
	cmd.Stderr, cmd.Stdout = w, out
	if program != "doorstep" {
		cmd.Stdout = w
	}
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	var failed error
	ended := make(chan struct{})
	go func() { defer close(ended); failed = cmd.Wait(); _ = w.Close() }()
	n.t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // it may have ended
		select {
		case <-ended:
		case <-time.After(30 * time.Second):
			_ = cmd.Process.Kill()
		}
	})
	lines, said := bufio.NewScanner(r), &strings.Builder{}
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		said.WriteString(lines.Text() + "\n")
		if found := says.FindString(lines.Text()); found != "" {
			go func() { _, _ = io.Copy(io.Discard, r) }()
			return &started{found, func() error { <-ended; return failed }}
		}
	}
	n.t.Fatalf("%s %s ended and said\n%s", program, strings.Join(args, " "), said)
	return nil
}
