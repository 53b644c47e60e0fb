package main_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/cmd/doorstep/shop"
	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/providertest"
)

// A place is where somebody goes shopping and signs in, as `doorstep demo -o json`
// prints it.
type place struct {
	Shop, Issuer, Email, Password string
}

// TestBrowserDemo: everything that the demo is there to show, in a real browser.
func TestBrowserDemo(t *testing.T) {
	for name, prepare := range map[string]func(*providertest.Page){
		"with script":    func(*providertest.Page) {},
		"without script": func(p *providertest.Page) { p.WithoutScript() },
	} {
		t.Run(name, func(t *testing.T) {
			page := providertest.Chromium(t)
			prepare(page)
			at := startDemo(t)
			goShopping(t, page, at, func() {
				if notice := page.Text("main > .notice"); !strings.Contains(notice, at.Email) || !strings.Contains(notice, at.Password) {
					t.Errorf("the sign-in page does not say whom the demo knows: %s", notice)
				}
			})
			wantDiagnosis(t, page, at)
		})
	}
}

// TestBrowserDemoOnPostgres: the same walk, with a provider on the other database
// that tells strangers neither an account nor a diagnosis.
func TestBrowserDemoOnPostgres(t *testing.T) {
	page := providertest.Chromium(t)
	goShopping(t, page, openShop(t), func() {
		if page.Has("main > .notice") {
			t.Errorf("a stranger is told %s", page.Text("main > .notice"))
		}
	})
}

// goShopping has somebody look at a car, sign in, agree, see what the shop knows,
// reserve the car and sign out; atDoor looks at the sign-in page.
func goShopping(t *testing.T, page *providertest.Page, at place, atDoor func()) {
	t.Helper()
	v := visit{t, page, at}
	v.wants("the shop", page.Open(at.Shop), at.Shop, "h1", "Good cars")
	page.Axe()
	v.wants("a car", page.Follow("a.card"), at.Shop+"/cars/", "#reserve", "Sign in to reserve")
	page.Axe()
	car := page.URL()
	v.wants("the sign-in page", page.Follow("#reserve"), at.Issuer+"/signin/password", "main p", "straight back to Forecourt Motors")
	page.Screenshot("signin")
	atDoor()
	v.wants("the consent page", v.signIn(), at.Issuer+"/signin/consent", "h1", "Forecourt Motors wants to use your account")
	if asked := page.Text("main ul.list"); !strings.Contains(asked, "e-mail address") || !strings.Contains(asked, "cars:reserve") || !strings.Contains(asked, "Forecourt Motors reservations") {
		t.Errorf("the consent page asks for %s", asked)
	}
	page.Screenshot("consent")
	v.wants("the car again", page.Follow("button[value=allow]"), car, "form #reserve", "Reserve")

	v.wants("what the shop knows", page.Follow("#me"), at.Shop+"/me", "#who", at.Email)
	v.wants("which proof was given", 200, at.Shop+"/me", "#proof", "A password")
	v.wants("how sure the provider is", 200, at.Shop+"/me", "#proof", "One proof")
	page.Axe()
	page.Screenshot("me")
	v.wants("the car once more", page.Open(car), car, "form #reserve", "Reserve")
	v.wants("the reservation", page.Follow("#reserve"), at.Shop+"/reservations/FM-", "#reservation", "is held for you")
	v.wants("what the API saw", 200, at.Shop+"/reservations/FM-", "#seen", "cars:reserve")
	page.Axe()
	page.Screenshot("reservation")

	v.wants("the shop, signed out", page.Follow("#sign-out"), at.Shop, "#signed-out", "You have signed out")
	if page.Has("#me") {
		t.Error("the shop still knows who is here")
	}
	v.wants("the provider's front page", page.Open(at.Issuer), at.Issuer, "h1", "Welcome")
	if page.Has(`a[href$="/signout"]`) {
		t.Error("the provider still knows who is here")
	}
	page.Open(at.Shop)
	v.wants("the sign-in page", page.Follow("#sign-in"), at.Issuer+"/signin/password", "h1", "Sign in")
	v.wants("the shop at once, for the consent is known", v.signIn(), at.Shop+"/me", "#who", at.Email)
}

// wantDiagnosis makes a newcomer's first mistake: the demo says how to mend it.
func wantDiagnosis(t *testing.T, page *providertest.Page, at place) {
	t.Helper()
	v := visit{t, page, at}
	mistake := at.Issuer + "/oauth2/authorize?client_id=shop&response_type=code&scope=openid&redirect_uri=" + at.Shop + "/elsewhere"
	page.Open(mistake)
	v.wants("what to run", 200, at.Issuer, ".diagnosis", "doorstep client update shop")
	page.Axe()
	page.Screenshot("mistake")
}

// visit is somebody at a place.
type visit struct {
	t    *testing.T
	page *providertest.Page
	at   place
}

// signIn fills in the account and returns the status of the page after it.
func (v visit) signIn() int {
	v.t.Helper()
	v.page.Fill("#identifier", v.at.Email)
	v.page.Fill("#password", v.at.Password)
	return v.page.Follow("button.primary")
}

// wants ends the test unless the browser is there and sees the text.
func (v visit) wants(what string, status int, url, selector, text string) {
	v.t.Helper()
	if status != http.StatusOK || !strings.HasPrefix(v.page.URL(), url) {
		v.t.Fatalf("%s: status %d at %s, want %s: %s", what, status, v.page.URL(), url, v.page.Text("body"))
	}
	if got := v.page.Text(selector); !strings.Contains(got, text) {
		v.t.Fatalf("%s: %s says %q, want %q", what, selector, got, text)
	}
}

// startDemo runs `doorstep demo` as its users do and returns what it printed.
func startDemo(t *testing.T) place {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command("doorstep", "demo", "--data", t.TempDir(), "--port", freePort(t), "--shop-port", freePort(t), "-o", "json")
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil || stderr.Len() > 0 {
			t.Errorf("demo: %v\n%s", err, &stderr)
		}
	})
	var at place
	if err := json.NewDecoder(stdout).Decode(&at); err != nil {
		t.Fatalf("demo: %v\n%s", err, &stderr)
	}
	return at
}

// freePort is one that nobody listened on a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// openShop opens the demo's shop beside a provider on Postgres.
func openShop(t *testing.T) place {
	t.Helper()
	p := providertest.Start(t, providertest.On(providertest.Postgres(t)), providertest.At(time.Now()))
	server := httptest.NewUnstartedServer(nil)
	base := "http://" + strings.Replace(server.Listener.Addr().String(), "127.0.0.1", "localhost", 1)
	cfg := shop.Config{
		Issuer: p.Issuer, ClientID: "shop", BaseURL: base, APIAudience: base + "/api", APIScope: "cars:reserve",
		Now: p.Clock.Now, Log: slog.New(slog.DiscardHandler),
	}
	p.Resource(cfg.APIAudience, cfg.APIScope)
	cfg.ClientSecret = p.Client(cfg.ClientID, providertest.Scope(cfg.APIScope), func(r *clients.Registration) {
		r.Name = "Forecourt Motors"
		r.RedirectURIs, r.PostLogoutRedirectURIs = []string{cfg.RedirectURI()}, []string{base + "/"}
	}).Secret
	handler, err := shop.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = handler
	server.Start()
	t.Cleanup(server.Close)
	ada := p.Person("ada")
	return place{Shop: base, Issuer: p.Issuer, Email: ada.Email, Password: ada.Password}
}
