package providertest

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"github.com/doorstep-id/doorstep/provider/clients"
)

// LogoutHost is where every [LogoutServer] is: the one address of loopback that
// the provider may go out to, unless a test says otherwise.
const LogoutHost = "127.0.0.2"

// LogoutServer is a client's server, on loopback, that is told of logouts
// (OpenID Connect Back-Channel Logout 1.0).
type LogoutServer struct {
	URL string

	mu     sync.Mutex
	answer http.HandlerFunc
	got    []LogoutRequest
}

// LogoutRequest is what a client was sent.
type LogoutRequest struct {
	Method, ContentType string
	Form                map[string][]string
	Token               string
}

// LogoutServer starts one, which answers 200.
func (p *P) LogoutServer() *LogoutServer {
	p.t.Helper()
	s := &LogoutServer{}
	l, err := (&net.ListenConfig{}).Listen(p.t.Context(), "tcp", net.JoinHostPort(LogoutHost, "0"))
	if err != nil {
		p.t.Fatal(err)
	}
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}}
	server.Start()
	p.t.Cleanup(server.Close)
	s.URL = server.URL + "/backchannel_logout"
	return s
}

// ServeHTTP notes what came, then answers.
func (s *LogoutServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	err := r.ParseForm()
	s.mu.Lock()
	if err == nil {
		s.got = append(s.got, LogoutRequest{r.Method, r.Header.Get("Content-Type"), r.Form, r.PostForm.Get("logout_token")})
	}
	answer := s.answer
	s.mu.Unlock()
	w.Header().Set("Cache-Control", "no-store")
	if answer != nil {
		answer(w, r)
	}
}

// Answer changes how it answers from now on; nil is 200.
func (s *LogoutServer) Answer(how http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = how
}

// Status is an answer of that status.
func Status(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

// Hang is an answer that does not come while anybody waits for it.
func Hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// Got returns what was sent so far, and forgets it.
func (s *LogoutServer) Got() []LogoutRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := s.got
	s.got = nil
	return got
}

// Told registers the server for a client.
func (s *LogoutServer) Told(r *clients.Registration) { r.BackchannelLogoutURI = s.URL }

// TellClients has the clients told whose notice of a logout is due, and waits
// until that has come to an end.
func (p *P) TellClients() {
	p.t.Helper()
	if err := p.served.TellClients(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
}

// Background does what goes on beside the requests until ctx ends.
func (p *P) Background(ctx context.Context) { p.served.Background(ctx) }
