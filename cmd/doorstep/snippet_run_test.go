package main_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	command "github.com/doorstep-id/doorstep/cmd/doorstep"
	"github.com/doorstep-id/doorstep/provider/api"
	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/storage"
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

// They run as they are, and what is secret is in no argument of curl's: ps shows those to
// everybody on the machine.
func TestSnippetsTellPsNoSecret(t *testing.T) {
	providertest.Curl(t)
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Fatal(err)
	}
	const secret, code, token = "dsk_secret", "code-secret", "token-secret"
	var verifier string
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	defer server.Close()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"authorization_endpoint":"%[1]s/a","token_endpoint":"%[1]s/oauth2/token","userinfo_endpoint":"%[1]s/userinfo"}`, server.URL)
	})
	mux.HandleFunc("POST /oauth2/token", func(w http.ResponseWriter, r *http.Request) {
		id, password, _ := r.BasicAuth()
		verifier = cmp.Or(r.PostFormValue("code_verifier"), verifier)
		if public := r.PostFormValue("client_id") == "app"; !public && (id != "app" || password != secret) ||
			r.PostFormValue("grant_type") == "authorization_code" && r.PostFormValue("code") != code {
			w.WriteHeader(http.StatusBadRequest)
		}
		fmt.Fprintf(w, `{"access_token":"%s"}`, token)
	})
	mux.HandleFunc("GET /userinfo", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token {
			w.WriteHeader(http.StatusUnauthorized)
		}
		fmt.Fprint(w, `{"sub":"ada"}`)
	})
	bin := t.TempDir()
	seen := filepath.Join(bin, "arguments.txt")
	quoted := func(path string) string { return "'" + path + "'" }
	wrapper := "#!/bin/sh\nprintf '%s\\n' \"$@\" >> " + quoted(seen) + "\nexec " + quoted(curl) + " \"$@\"\n"
	if err := os.WriteFile(filepath.Join(bin, "curl"), []byte(wrapper), 0o700); err != nil {
		t.Fatal(err)
	}
	people := storage.ClientMetadata{RedirectURIs: []string{"http://localhost:3000/callback"}, GrantTypes: []string{"authorization_code"}, Scope: "openid"}
	for kind, v := range map[string]*api.Client{
		"service": {ClientID: "app", Secret: secret, ClientMetadata: storage.ClientMetadata{GrantTypes: []string{"client_credentials"}, Scope: "a b"}},
		"web":     {ClientID: "app", Secret: secret, ClientMetadata: people},
		"native":  {ClientID: "app", ClientMetadata: people},
	} {
		t.Run(kind, func(t *testing.T) {
			program, err := command.Snippet(server.URL, v, "curl")
			if err != nil {
				t.Fatal(err)
			}
			var out, problems bytes.Buffer
			cmd := exec.CommandContext(t.Context(), "sh", "-c", program)
			cmd.Env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
			cmd.Stderr = &problems
			answer, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			for lines := bufio.NewScanner(stdout); lines.Scan(); {
				fmt.Fprintln(&out, lines.Text())
				if _, state, asked := strings.Cut(lines.Text(), "&state="); asked {
					state, _, _ = strings.Cut(state, "&")
					fmt.Fprintf(answer, "http://localhost:3000/callback?code=%s&state=%s\n", code, state)
				}
			}
			want := map[bool]string{true: token, false: `{"sub":"ada"}`}[kind == "service"]
			if err := cmd.Wait(); err != nil || !strings.Contains(out.String(), want) {
				t.Errorf("%v: %s%s", err, &out, &problems)
			}
			arguments, err := os.ReadFile(seen)
			if err != nil {
				t.Fatal(err)
			}
			for _, hidden := range []string{secret, code, token, verifier} {
				if hidden != "" && bytes.Contains(arguments, []byte(hidden)) {
					t.Errorf("%q is there to see:\n%s", hidden, arguments)
				}
			}
		})
	}
}
