package main

import (
	"cmp"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"text/template"

	"github.com/doorstep-id/doorstep/provider/api"
	"github.com/doorstep-id/doorstep/provider/web"
)

// snippets has a whole program for each language: one that signs people in, and one
// for a service.
//
//go:embed snippets
var snippets embed.FS

// languages are those that there is a program in.
var languages = []string{"go", "node", "python", "curl"}

// snippetPort is where a program listens whose redirect leaves it the choice.
const snippetPort = "3000"

// snippet is what a program is filled in with.
type snippet struct {
	Issuer, ClientID, Secret, Scope, Redirect string

	Home       string // where a person begins
	Host, Port string // where the program listens
}

// newSnippet returns what a program for this client is filled in with, or an error
// that names the flag to mend.
func newSnippet(issuer string, v *api.Client) (*snippet, error) {
	s := &snippet{Issuer: issuer, ClientID: v.ClientID, Secret: v.Secret, Scope: v.Scope}
	if !slices.Contains(v.GrantTypes, "authorization_code") {
		return s, nil
	}
	for _, uri := range v.RedirectURIs {
		u, err := url.Parse(uri)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" {
			continue
		}
		s.Host, s.Port = "localhost", snippetPort
		if u.Scheme == "http" {
			s.Host, s.Port = u.Hostname(), u.Port()
		}
		if s.Port == "" { // a native client's, which is free at run time (RFC 8252 section 7.3); else port 80
			s.Port = "80"
			if v.ApplicationType == "native" {
				s.Port = snippetPort
				u.Host = net.JoinHostPort(u.Hostname(), s.Port)
			}
		}
		s.Redirect, s.Home = u.String(), (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: "/"}).String()
		return s, nil
	}
	return nil, &usageError{"--redirect-uri: a program of --snippet needs an http or https address, such as http://127.0.0.1/callback"}
}

// Listen is where the program listens, as host:port.
func (s *snippet) Listen() string { return net.JoinHostPort(s.Host, s.Port) }

// Scopes are those of Scope.
func (s *snippet) Scopes() []string { return strings.Fields(s.Scope) }

// Pair is the client's credentials, none of which has a character to encode.
func (s *snippet) Pair() string { return s.ClientID + ":" + s.Secret }

// TokenURL is the token endpoint.
func (s *snippet) TokenURL() string { return strings.TrimSuffix(s.Issuer, "/") + web.PathToken }

// QueryRedirect and QueryScope are the redirect and the scope in a query.
func (s *snippet) QueryRedirect() string { return url.QueryEscape(s.Redirect) }

// QueryScope is the scope in a query.
func (s *snippet) QueryScope() string { return url.QueryEscape(s.Scope) }

// write writes the program in that language.
func (s *snippet) write(w io.Writer, language string) error {
	kind := "service"
	if s.Redirect != "" {
		kind = "signin"
	}
	name := kind + "." + language + ".tmpl"
	t, err := template.New(name).Funcs(template.FuncMap{"quote": quote, "list": list, "shell": shell}).ParseFS(snippets, "snippets/"+name)
	if err != nil {
		return err
	}
	return t.Execute(w, s)
}

// quote writes a string as Go, JavaScript and Python read it.
func quote(s string) (string, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(s)
	return strings.TrimSuffix(b.String(), "\n"), err
}

// list writes strings as a slice of Go.
func list(all []string) (string, error) {
	var quoted []string
	for _, s := range all {
		q, err := quote(s)
		if err != nil {
			return "", err
		}
		quoted = append(quoted, q)
	}
	return "[]string{" + strings.Join(quoted, ", ") + "}", nil
}

// shell writes a string as a POSIX shell reads it.
func shell(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// checkSnippet refuses a language that there is no program in, and a kind of client
// that there is no program for, before anything is registered.
func (in *clientFlags) checkSnippet(output format) error {
	switch {
	case in.snippet == "":
		return nil
	case !slices.Contains(languages, in.snippet):
		return &usageError{fmt.Sprintf("--snippet: %q is not one of %s", in.snippet, strings.Join(languages, ", "))}
	case output == asJSON:
		return &usageError{"--snippet prints a program, which -o json does not go with"}
	case cmp.Or(in.kind, "web") == "spa":
		return &usageError{"--snippet: there is no program for --type spa, which runs in the browser: the client's id, its redirect and PKCE are all it needs"}
	}
	return nil
}
