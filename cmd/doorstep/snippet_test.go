package main

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/doorstep-id/doorstep/provider/api"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/storage"
)

// Every program compiles, or parses, whatever an operator may have registered; the
// scripts and the newcomer's walk run them.
func TestSnippetsArePrograms(t *testing.T) {
	people := storage.ClientMetadata{
		RedirectURIs: []string{"https://app.example.com/call'back?x=$HOME&y=%25"}, GrantTypes: []string{"authorization_code"}, Scope: "openid email",
	}
	check := map[string][]string{
		"go": {"go", "build", "-o", os.DevNull}, "node": {"node", "--check"}, "python": {"python3", "-m", "py_compile"}, "curl": {"sh", "-n"},
	}
	suffix := map[string]string{"go": ".go", "node": ".mjs", "python": ".py", "curl": ".sh"}
	for kind, v := range map[string]*api.Client{
		"web":     {ClientID: "app", Secret: "dsk_x", ClientMetadata: people},
		"native":  {ClientID: "app", ClientMetadata: people},
		"service": {ClientID: "job", Secret: "dsk_x", ClientMetadata: storage.ClientMetadata{GrantTypes: []string{"client_credentials"}, Scope: "orders:read"}},
		"bare":    {ClientID: "job", Secret: "dsk_x", ClientMetadata: storage.ClientMetadata{GrantTypes: []string{"client_credentials"}}},
	} {
		for _, language := range languages {
			t.Run(kind+" in "+language, func(t *testing.T) {
				s, err := newSnippet("https://login.example.com", v)
				if err != nil {
					t.Fatal(err)
				}
				var b strings.Builder
				if err := s.write(&b, language); err != nil {
					t.Fatal(err)
				}
				for _, want := range []string{v.ClientID, v.Secret, "login.example.com"} {
					if !strings.Contains(b.String(), want) {
						t.Errorf("%q is not in it", want)
					}
				}
				file := filepath.Join(t.TempDir(), "main"+suffix[language])
				if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
					t.Fatal(err)
				}
				args := check[language]
				if _, err := exec.LookPath(args[0]); err != nil {
					if language == "go" {
						t.Fatal(err)
					}
					t.Logf("not parsed: %v", err)
					return
				}
				if out, err := exec.Command(args[0], append(args[1:], file)...).CombinedOutput(); err != nil {
					t.Errorf("%v\n%s\n%s", err, out, &b)
				}
			})
		}
	}
}

// They run as they are, and what is secret is in no argument of curl's: ps shows those to
// everybody on the machine.
func TestCurlSnippetsTellPsNoSecret(t *testing.T) {
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
	wrapper := "#!/bin/sh\nprintf '%s\\n' \"$@\" >> " + shell(seen) + "\nexec " + shell(curl) + " \"$@\"\n"
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
			s, err := newSnippet(server.URL, v)
			if err != nil {
				t.Fatal(err)
			}
			var program, out, problems bytes.Buffer
			if err := s.write(&program, "curl"); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), "sh", "-c", program.String())
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

// Where a program listens follows from the redirect.
func TestSnippetListensWhereItsRedirectLeads(t *testing.T) {
	for redirect, want := range map[string][3]string{
		"http://localhost:8081/cb":   {"localhost:8081", "http://localhost:8081/cb", "http://localhost:8081/"},
		"http://[::1]:8081/cb":       {"[::1]:8081", "http://[::1]:8081/cb", "http://[::1]:8081/"},
		"http://127.0.0.1/cb":        {"127.0.0.1:3000", "http://127.0.0.1:3000/cb", "http://127.0.0.1:3000/"},
		"https://app.example.com/cb": {"localhost:3000", "https://app.example.com/cb", "https://app.example.com/"},
		"com.example.app:/cb":        {},
	} {
		s, err := newSnippet("https://login.example.com", &api.Client{ClientMetadata: storage.ClientMetadata{
			RedirectURIs: []string{redirect}, GrantTypes: []string{"authorization_code"}, ApplicationType: "native",
		}})
		if want == ([3]string{}) {
			if err == nil || !strings.Contains(err.Error(), "--redirect-uri") {
				t.Errorf("%s: %v", redirect, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", redirect, err)
		} else if got := [3]string{s.Listen(), s.Redirect, s.Home}; got != want {
			t.Errorf("%s: %q, want %q", redirect, got, want)
		}
	}
}
