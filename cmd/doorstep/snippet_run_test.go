package main_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/providertest"
)

// Every program that signs people in is run as it is printed, by an application that
// has a secret and by one that has none, until it shows who is signed in. (A browser does so
// with Node's: see TestBrowserNewcomersTenMinutes.)
func TestSnippetsSignPeopleIn(t *testing.T) {
	t.Parallel()
	p := providertest.Start(t, providertest.At(time.Now()))
	env := append(os.Environ(), "DOORSTEP_TOKEN="+p.API("ops", clients.ScopeClientsWrite).Token)
	for _, kind := range []string{"web", "native"} {
		for language, run := range map[string]func(t *testing.T, p *providertest.P, file, home string) map[string]any{
			"go": runGo, "python": runPython, "curl": runShell,
		} {
			t.Run(kind+" in "+language, func(t *testing.T) {
				home := "http://127.0.0.1:" + freePort(t)
				cmd := exec.Command("doorstep", "client", "create", "--server", p.Issuer, "--type", kind, "--name", "My app",
					"--redirect-uri", home+"/call'back", "--scope", "openid email", "--snippet", language)
				cmd.Env, cmd.Stderr = env, t.Output()
				text, err := cmd.Output()
				if err != nil {
					t.Fatal(err)
				}
				file := filepath.Join(t.TempDir(), "app.go")
				if err := os.WriteFile(file, text, 0o600); err != nil {
					t.Fatal(err)
				}
				ada := p.Person("ada")
				if shown := run(t, p.In(t), file, home); shown["sub"] != ada.Sub || shown["email"] != ada.Email {
					t.Errorf("it shows %v, want %s", shown, ada.Email)
				}
			})
		}
	}
}

// A service's program in Go gets a token, and sends it along. (testdata/script/snippet.txt
// runs those of other languages.)
func TestSnippetsGetAServiceATokenInGo(t *testing.T) {
	t.Parallel()
	p := providertest.Start(t, providertest.At(time.Now()))
	cmd := exec.Command("doorstep", "client", "create", "--server", p.Issuer, "--type", "service", "--name", "Job", "--scope", clients.ScopeClientsRead, "--snippet", "go")
	cmd.Env, cmd.Stderr = append(os.Environ(), "DOORSTEP_TOKEN="+p.API("ops", clients.ScopeClientsRead, clients.ScopeClientsWrite).Token), t.Output()
	text, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "service.go")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(buildGo(t, file), p.URL("/api/v1/clients")).CombinedOutput()
	if said := string(out); err != nil || !strings.HasPrefix(said, "a token until 20") || !strings.Contains(said, "\n200 OK\n") || !strings.Contains(said, `"client_name":"Job"`) {
		t.Errorf("%v: it says\n%s", err, said)
	}
}

// buildGo returns a program of this file.
func buildGo(t *testing.T, file string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "program")
	if out, err := exec.Command("go", "build", "-o", program, file).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

func runGo(t *testing.T, p *providertest.P, file, home string) map[string]any {
	return signInAt(t, p, home, buildGo(t, file))
}

func runPython(t *testing.T, p *providertest.P, file, home string) map[string]any {
	return signInAt(t, p, home, providertest.Python(t), file)
}

// signInAt runs a web application and signs somebody in there.
func signInAt(t *testing.T, p *providertest.P, home, program string, args ...string) map[string]any {
	(&newcomer{t: t, env: os.Environ()}).start(regexp.MustCompile(`open http://\S+`), t.TempDir(), program, args...)
	at := p.Browser().SignIn("ada").Walk(nil, home)
	if want := home + "/"; at.URL.String() != want {
		t.Fatalf("at %s, want %s: %s", at.URL, want, at.Answer)
	}
	return at.WantStatus(http.StatusOK).JSON()
}

// runShell runs a script as somebody does who takes its address to a browser, and the
// address that the browser ends at back to it.
func runShell(t *testing.T, p *providertest.P, file, home string) map[string]any {
	providertest.Curl(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // it waits for who sits at the terminal
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", file)
	cmd.Stderr = t.Output()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines, to := bufio.NewReader(out), ""
	for !strings.HasPrefix(to, p.Issuer) {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("it says no address: %v", err)
		}
		to = strings.TrimSpace(line)
	}
	at := p.Browser().SignIn("ada").Walk(&providertest.RP{RedirectURI: home}, to)
	if _, err := io.WriteString(in, at.URL.String()+"\n"); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(lines)
	if err := errors.Join(err, cmd.Wait()); err != nil {
		t.Fatalf("%v\n%s", err, rest)
	}
	var shown map[string]any
	if err := json.Unmarshal(rest[strings.Index(string(rest), "{"):], &shown); err != nil {
		t.Fatalf("%v\n%s", err, rest)
	}
	return shown
}
