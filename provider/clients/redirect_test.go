package clients

import (
	"strings"
	"testing"

	"github.com/doorstep-id/doorstep/storage"
)

// Attack cases 1-5: what may be registered as a redirect at all.
func TestRedirectsThatCanBeRegistered(t *testing.T) {
	const web, native = false, true
	for _, tc := range []struct {
		uri    string
		native bool
		ok     bool
	}{
		{"https://shop.example/callback", web, true},
		{"https://shop.example", web, true},
		{"https://shop.example:8443/callback?tenant=1", web, true},
		{"https://xn--bcher-kva.example/cb", web, true},
		{"https://192.0.2.1/cb", web, true},
		{"https://shop.example/callback", native, true},
		{"http://localhost:8081/callback", web, true},
		{"http://127.0.0.1:8081/callback", web, true},
		{"http://[::1]:8081/callback", native, true},
		{"http://127.0.0.1/callback", native, true},
		{"com.example.app:/callback", native, true},
		{"com.example.app://callback", native, true},

		{"", web, false},
		{"/callback", web, false},
		{"//shop.example/callback", web, false},
		{"shop.example/callback", web, false},
		{"https:///callback", web, false},
		{"https:shop.example", web, false},
		{"https://", web, false},
		{"https://shop.example/callback#", web, false},
		{"https://shop.example/callback#x", web, false},
		{"https://ada@shop.example/callback", web, false},
		{"https://ada:secret@shop.example/callback", web, false},
		{"https://@shop.example/callback", web, false},
		{"https://shop.example\\@evil.example/callback", web, false},
		{"https://shop.example/..\\evil", web, false},
		{"https://*.shop.example/callback", web, false},
		{"https://shop.example/*", web, false},
		{"https://shop.example/a/../callback", web, false},
		{"https://shop.example/a/%2e%2e/callback", web, false},
		{"https://shop.example/a/.%2E/callback", web, false},
		{"https://shop.example/./callback", web, false},
		{"https://shop.example/..", web, false},
		{"https://shop.example/a%2fb", web, false},
		{"https://shop.example/a%5cb", web, false},
		{"https://shop.example/ callback", web, false},
		{"https://shop.example/call\nback", web, false},
		{"https://shop.example/call\x00back", web, false},
		{"https://shop.example/call\tback", web, false},
		{"https://bücher.example/callback", web, false},
		{"https://shop.example./callback", web, false},
		{"https://shop.example:/callback", web, false},
		{"https://shop.example:0/callback", web, false},
		{"https://shop.example:99999/callback", web, false},
		{"https://shop.example:080/callback", web, false},
		{"https://shop.example:80a/callback", web, false},
		{"https://shop.example%2eevil.example/", web, false},
		{"HTTPS://shop.example/callback", web, false},
		{"http://shop.example/callback", web, false},
		{"http://shop.example/callback", native, false},
		{"http://localhost.evil.example/callback", web, false},
		{"http://127.0.0.1.evil.example/callback", native, false},
		{"http://127.1/callback", native, false},
		{"http://0x7f000001/callback", native, false},
		{"http://2130706433/callback", native, false},
		{"http://0.0.0.0/callback", native, false},
		{"http://[::ffff:127.0.0.1]/callback", native, false},
		{"http://[0:0:0:0:0:0:0:1]/callback", native, false},
		{"http://[::1%25lo]/callback", native, false},
		{"com.example.app:/callback", web, false},
		{"com.example.app:callback", native, false},
		{"com.example.app:", native, false},
		{"myapp:/callback", native, false},
		{"javascript:alert(1)", native, false},
		{"javascript://shop.example/%0aalert(1)", native, false},
		{"data:text/html,x", native, false},
		{"vbscript:x", native, false},
		{"file:///etc/passwd", native, false},
		{"blob:https://shop.example/1", native, false},
		{"ftp://shop.example/", native, false},
		{"https://shop.example/" + strings.Repeat("a", 2000), web, false},
	} {
		if problem := redirectProblem(tc.uri, tc.native); (problem == "") != tc.ok {
			t.Errorf("%.100q (native %v): %q, want ok %v", tc.uri, tc.native, problem, tc.ok)
		}
	}
}

// Attack cases 1-3: a redirect matches character by character (RFC 9700 section
// 4.1.3); a native client's loopback literal may have another port (RFC 8252
// section 7.3).
func TestRedirectsMatch(t *testing.T) {
	registered := []string{
		"https://shop.example/callback", "http://127.0.0.1/cb", "http://[::1]:4000/cb?x=1", "http://localhost:3000/cb", "com.example.app:/cb",
	}
	for _, tc := range []struct {
		uri         string
		web, native bool
	}{
		{"https://shop.example/callback", true, true},
		{"http://127.0.0.1/cb", true, true},
		{"http://localhost:3000/cb", true, true},
		{"com.example.app:/cb", true, true},
		{"http://127.0.0.1:51004/cb", false, true},
		{"http://127.0.0.1:1/cb", false, true},
		{"http://127.0.0.1:65535/cb", false, true},
		{"http://[::1]:51004/cb?x=1", false, true},
		{"http://[::1]/cb?x=1", false, true},

		{"", false, false},
		{"https://shop.example/callback/", false, false},
		{"https://shop.example/callback?", false, false},
		{"https://shop.example/callback?x=1", false, false},
		{"https://shop.example/Callback", false, false},
		{"https://SHOP.example/callback", false, false},
		{"https://shop.example:443/callback", false, false},
		{"https://shop.example/callback/../callback", false, false},
		{"https://shop.example/callbac%6b", false, false},
		{"https://shop.example.evil.example/callback", false, false},
		{"http://shop.example/callback", false, false},
		{"https://127.0.0.1:51004/cb", false, false},
		{"http://localhost:51004/cb", false, false},
		{"http://127.0.0.2:51004/cb", false, false},
		{"http://127.0.0.1:51004/other", false, false},
		{"http://127.0.0.1:51004/cb/", false, false},
		{"http://127.0.0.1:51004/cb?x=1", false, false},
		{"http://127.0.0.1:51004@evil.example/cb", false, false},
		{"http://127.0.0.1@evil.example/cb", false, false},
		{"http://127.0.0.1.evil.example/cb", false, false},
		{"http://127.0.0.1:51004.evil.example/cb", false, false},
		{"http://127.0.0.1:/cb", false, false},
		{"http://127.0.0.1:0/cb", false, false},
		{"http://127.0.0.1:65536/cb", false, false},
		{"http://127.0.0.1:080/cb", false, false},
		{"http://127.0.0.1:+80/cb", false, false},
		{"http://127.0.0.1:51004", false, false},
		{"http://127.0.0.1:51004\\@evil.example/cb", false, false},
		{"http://[::1]:51004/cb", false, false},
		{"http://[::1].evil.example/cb?x=1", false, false},
		{"com.example.app:/cb2", false, false},
	} {
		for applicationType, want := range map[string]bool{typeWeb: tc.web, typeNative: tc.native} {
			c := &storage.Client{Metadata: storage.Document(storage.ClientMetadata{RedirectURIs: registered, ApplicationType: applicationType})}
			if got := (*Service)(nil).MatchRedirect(c, tc.uri); got != want {
				t.Errorf("%s client, %q: %v, want %v", applicationType, tc.uri, got, want)
			}
		}
	}
}

// What follows a loopback literal must not make it another host.
func TestCutLoopbackPort(t *testing.T) {
	for uri, want := range map[string]string{
		"http://127.0.0.1": "http://127.0.0.1 + ", "http://127.0.0.1:80": "http://127.0.0.1 + ", "http://[::1]:80?x": "http://[::1] + ?x",
		"http://127.0.0.1.evil.example/cb": "", "http://127.0.0.1@evil.example/cb": "", "http://[::1]evil": "", "http://127.0.0.11/": "",
		"http://127.0.0.1:80@evil.example/": "", "http://127.0.0.1:80:80/": "", "https://127.0.0.1/": "", "HTTP://127.0.0.1/": "",
	} {
		got := ""
		if before, after, ok := cutLoopbackPort(uri); ok {
			got = before + " + " + after
		}
		if got != want {
			t.Errorf("%s: %q, want %q", uri, got, want)
		}
	}
}

// Whatever matches and is not registered itself differs in its port only, and
// could have been registered.
func FuzzMatchRedirect(f *testing.F) {
	for _, seed := range []string{"http://127.0.0.1:80/cb", "http://[::1]:80/cb", "http://127.0.0.1:80@evil/cb", "http://127.0.0.1/cb", "http://127.0.0.1:/cb"} {
		f.Add(seed)
	}
	registered := []string{"http://127.0.0.1:1234/cb", "http://[::1]/cb"}
	f.Fuzz(func(t *testing.T, uri string) {
		if !matches(registered, typeNative, uri) {
			return
		}
		if problem := redirectProblem(uri, true); problem != "" {
			t.Errorf("%q matches and %s", uri, problem)
		}
		u, problem := parseURI(uri)
		if problem != "" || u.Path != "/cb" || u.RawQuery != "" || !isLoopback(u.Hostname()) {
			t.Errorf("%q matches", uri)
		}
	})
}
