package providertest

import (
	"crypto/rand"
	"fmt"
	"html"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/clients"
)

// Apache is an Apache HTTP server with mod_auth_openidc: a relying party of
// another make, in C. Whoever may see its pages is shown what it knows of them.
// It goes by the machine's clock: see [At].
//
//	/protected/  whoever signed in (AuthType openid-connect)
//	/api/        whoever has an access token that introspection says is active (AuthType oauth20)
type Apache struct {
	*RP
	URL string // http://127.0.0.2:PORT

	dir string
}

// apacheAddress is loopback and nobody else's: no listener of a test can have
// taken the port that Apache was promised.
const apacheAddress = "127.0.0.2"

// apacheProgram returns where Apache and its modules are.
func apacheProgram() (program, modules string, err error) {
	const lacks = "; apt-get install apache2-bin libapache2-mod-auth-openidc"
	program, err = exec.LookPath("apache2")
	if err != nil {
		program = "/usr/sbin/apache2" // Debian keeps it off the PATH of most
	}
	if _, err := os.Stat(program); err != nil {
		return "", "", missing{"no apache2 on PATH or in /usr/sbin" + lacks}
	}
	modules = "/usr/lib/apache2/modules"
	if _, err := os.Stat(filepath.Join(modules, "mod_auth_openidc.so")); err != nil {
		return "", "", missing{"no mod_auth_openidc in " + modules + lacks}
	}
	return program, modules, nil
}

// Apache registers a client for a server and starts that server, which ends with
// the test. It is told issuer, client id and secret, and the directives in more.
func (p *P) Apache(id, more string, change ...func(*clients.Registration)) *Apache {
	p.t.Helper()
	program, modules, err := apacheProgram()
	need(p.t, needApache, err)
	number, err := FreePort(apacheAddress)
	if err != nil {
		p.t.Fatal(err)
	}
	port := strconv.Itoa(number)
	a := &Apache{URL: "http://" + net.JoinHostPort(apacheAddress, port)}
	a.RP = p.Client(id, append([]func(*clients.Registration){func(r *clients.Registration) {
		r.RedirectURIs = []string{a.URL + "/protected/callback"}
		r.PostLogoutRedirectURIs = []string{a.URL + "/left"}
	}}, change...)...)

	attr, give, err := unprivileged()
	need(p.t, needApache, err)
	root, err := scratch()
	if err != nil {
		p.t.Fatal(err)
	}
	if a.dir, err = os.MkdirTemp(root, "apache-"); err != nil {
		p.t.Fatal(err)
	}
	for name, content := range map[string]string{
		"page.shtml":  "<!DOCTYPE html><title>Protected</title><pre><!--#printenv --></pre>\n",
		"apache.conf": a.configuration(p, port, modules) + more,
	} {
		if err := os.WriteFile(filepath.Join(a.dir, name), []byte(content), 0o644); err != nil {
			p.t.Fatal(err)
		}
	}
	if err := give(a.dir); err != nil {
		p.t.Fatal(err)
	}
	a.start(p.t, program, attr)
	return a
}

// configuration is what an operator would write, in a directory of its own.
func (a *Apache) configuration(p *P, port, modules string) string {
	var c strings.Builder
	secret := ""
	if a.Secret != "" {
		secret = fmt.Sprintf("OIDCClientSecret %[1]s\nOIDCOAuthClientSecret %[1]s", a.Secret)
	}
	for _, module := range []string{"mpm_event", "authn_core", "authz_core", "authz_user", "alias", "include", "auth_openidc"} {
		fmt.Fprintf(&c, "LoadModule %s_module %s/mod_%s.so\n", module, modules, module)
	}
	fmt.Fprintf(&c, `
ServerName %[1]s:%[2]s
Listen %[1]s:%[2]s
ServerRoot %[3]s
DocumentRoot %[3]s
PidFile %[3]s/pid
Mutex file:%[3]s default
ErrorLog %[3]s/error.log
LogLevel warn
StartServers 1
ServerLimit 1
ThreadsPerChild 8
MaxRequestWorkers 8
KeepAlive Off
OIDCCacheShmMax 128

OIDCProviderMetadataURL %[4]s/.well-known/openid-configuration
OIDCClientID %[5]s
OIDCRedirectURI %[6]s
OIDCCryptoPassphrase %[7]s
OIDCPKCEMethod S256
OIDCScope "openid profile email"

OIDCOAuthServerMetadataURL %[4]s/.well-known/oauth-authorization-server
OIDCOAuthClientID %[5]s

AliasMatch ^ %[3]s/page.shtml
<Location />
  SetOutputFilter INCLUDES
  Options +Includes
</Location>
<Location /protected/>
  AuthType openid-connect
  Require valid-user
</Location>
<Location /api/>
  AuthType oauth20
  Require valid-user
</Location>
%[8]s
`, apacheAddress, port, a.dir, p.Issuer, a.ID, a.RedirectURI, rand.Text(), secret)
	return c.String()
}

// start runs the server in the foreground until the test ends.
func (a *Apache) start(t testing.TB, program string, attr *syscall.SysProcAttr) {
	t.Helper()
	cmd := exec.Command(program, "-f", filepath.Join(a.dir, "apache.conf"), "-DFOREGROUND")
	cmd.SysProcAttr, cmd.Dir = attr, a.dir
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	// Only if it still is ours: the number of one that ended may be another's.
	if err := atEnd(fmt.Sprintf("ps -o args= -p %[1]d 2>/dev/null | grep -qF -- %[2]s && kill %[1]d", cmd.Process.Pid, quote(a.dir))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(a.dir, "error.log"))
			t.Logf("Apache says:\n%s", log)
		}
		select {
		case err := <-ended:
			t.Errorf("Apache ended early: %v\n%s", err, &said)
		default:
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Error(err)
			}
			if err := <-ended; err != nil {
				t.Errorf("Apache: %v", err)
			}
		}
	})
	for deadline := time.Now().Add(within); ; {
		conn, err := net.Dial("tcp", strings.TrimPrefix(a.URL, "http://"))
		if err == nil {
			_ = conn.Close() // it has shown what it was for
			return
		}
		select {
		case err := <-ended:
			ended <- err // for the cleanup
			t.Fatal("Apache did not start")
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("Apache does not listen: %v", err)
		}
	}
}

// Visit walks the browser to one of its pages, by way of the provider where the
// server asks for that, and returns the variables that the page has (CGI names).
func (a *Apache) Visit(b *Browser, path string) map[string]string {
	a.t.Helper()
	at := b.Walk(nil, a.URL+path)
	if want := a.URL + path; at.URL.String() != want {
		a.t.Fatalf("at %s, want %s: %s", at.URL, want, at.Answer)
	}
	return a.Variables(at.Answer)
}

// Call calls its API with an access token, or without one if that is "".
func (a *Apache) Call(access string) *Answer {
	a.t.Helper()
	r, err := http.NewRequestWithContext(a.t.Context(), http.MethodGet, a.URL+"/api/", nil)
	if err != nil {
		a.t.Fatal(err)
	}
	if access != "" {
		r.Header.Set("Authorization", "Bearer "+access)
	}
	return a.p.In(a.t).do(r)
}

// Variables are what a page has, by their names in CGI, if it is shown at all.
func (a *Apache) Variables(page *Answer) map[string]string {
	a.t.Helper()
	page.WantStatus(http.StatusOK)
	_, text, _ := strings.Cut(string(page.Body), "<pre>")
	all := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(html.UnescapeString(line)), "="); ok {
			all[name] = value
		}
	}
	return all
}
