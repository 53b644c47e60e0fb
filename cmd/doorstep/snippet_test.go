package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/doorstep-id/doorstep/provider/api"
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
