package main_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	command "github.com/doorstep-id/doorstep/cmd/doorstep"
	"github.com/doorstep-id/doorstep/cmd/doorstep/shop"
	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/storage"
)

// A place is where somebody goes shopping and signs in, as `doorstep demo -o json`
// prints it.
type place struct {
	Shop, Issuer, Email, Password string

	demo bool // it tells strangers the account
}

// TestBrowserDemo: everything that the demo is there to show, in a real browser.
func TestBrowserDemo(t *testing.T) {
	t.Run("with script", func(t *testing.T) {
		v := visit{t: t, page: providertest.Chromium(t), at: startDemo(t)}
		v.look = func(name string) { v.page.Axe(); v.page.Screenshot(name) }
		v.goShopping()
		v.makeMistake()
	})
	t.Run("without script, at night, on a small phone", func(t *testing.T) {
		v := visit{t: t, page: providertest.Chromium(t).WithoutScript().Dark().Narrow(320), at: startDemo(t)}
		v.look = func(name string) { v.page.Fits(); v.page.Screenshot(name) } // axe is a script
		v.goShopping()
		v.makeMistake()
	})
}

// TestBrowserDemoPasskey: the shop sends its customer to add a passkey, and sees that
// they came back with it.
func TestBrowserDemoPasskey(t *testing.T) {
	v := visit{t: t, page: providertest.Chromium(t), at: openShop(t), look: func(string) {}}
	v.page.Authenticator(providertest.AuthenticatorKind{Verifies: true, Synced: true})
	v.page.Open(v.at.Shop)
	v.page.Follow("#sign-in")
	v.signIn()
	v.page.Follow("button[value=allow]")
	v.sees("what makes it faster", "h1", "Sign in faster next time")
	v.wants("what the shop knows", v.page.Follow("button[value=later]"), v.at.Shop+"/me", "#proof", "A password")
	v.wants("where proofs are", v.page.Follow("#security"), v.at.Issuer+"/account/security", "h1", "Security")
	v.page.Follow("a[href$=add-passkey]")
	v.wants("the passkey", v.page.Follow("button.primary"), v.at.Issuer+"/account/security", ".choice", "added")
	v.page.Open(v.at.Shop)
	v.page.Follow("#sign-out")
	v.page.Open(v.at.Shop + "/me") // by way of the sign-in page, where this browser offers the passkey and takes it
	for end := time.Now().Add(20 * time.Second); !strings.HasPrefix(v.page.URL(), v.at.Shop+"/me"); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("nothing was offered: %s at %s", v.page.Text("body"), v.page.URL())
		}
	}
	v.sees("which proof was given", "#proof", "a passkey")
	v.sees("how sure the provider is", "#proof", "Two different proofs")
	if v.page.Has("#security") {
		t.Error("who came with a passkey is told to add one")
	}
}

// TestBrowserDemoOnPostgres: the same walk, with a provider on the other database.
func TestBrowserDemoOnPostgres(t *testing.T) {
	v := visit{t: t, page: providertest.Chromium(t), at: openShop(t), look: func(string) {}}
	v.goShopping()
}

// goShopping has somebody look at a car, sign in, agree, see what the shop knows,
// reserve the car and sign out.
func (v visit) goShopping() {
	v.t.Helper()
	page, at := v.page, v.at
	v.wants("the shop", page.Open(at.Shop), at.Shop, "h1", "Good cars")
	v.look("shop")
	v.wants("a car", page.Follow("a.card"), at.Shop+"/cars/", "#reserve", "Sign in to reserve")
	v.look("car")
	car := page.URL()
	v.wants("the sign-in page", page.Follow("#reserve"), at.Issuer+"/signin/password", "main p", "straight back to Forecourt Motors")
	v.look("signin")
	if told := page.Has("main > .notice") && strings.Contains(page.Text("main > .notice"), at.Password); told != at.demo {
		v.t.Errorf("the sign-in page tells strangers an account: %v, and it is a demo: %v", told, at.demo)
	}
	v.wants("the consent page", v.signIn(), at.Issuer+"/signin/consent", "h1", "Forecourt Motors wants to use your account")
	v.sees("what for", "main ul.list", "See your e-mail address")
	v.sees("the API's scope too", "main ul.list", "cars:reserve\nForecourt Motors reservations")
	v.look("consent")
	v.wants("the car again", page.Follow("button[value=allow]"), car, "form #reserve", "Reserve")

	v.wants("what the shop knows", page.Follow("#me"), at.Shop+"/me", "#who", at.Email)
	v.sees("which proof was given", "#proof", "A password")
	v.sees("how sure the provider is", "#proof", "One proof")
	v.look("me")
	v.wants("the car once more", page.Open(car), car, "form #reserve", "Reserve")
	v.wants("the reservation", page.Follow("#reserve"), at.Shop+"/reservations/FM-", "#reservation", "is held for you")
	v.sees("what the API saw", "#seen", "cars:reserve")
	v.look("reservation")

	v.wants("the shop, signed out", page.Follow("#sign-out"), at.Shop, "#signed-out", "You have signed out")
	if page.Has("#me") {
		v.t.Error("the shop still knows who is here")
	}
	v.wants("the provider's front page", page.Open(at.Issuer), at.Issuer, "h1", "Welcome")
	if page.Has(`a[href$="/signout"]`) {
		v.t.Error("the provider still knows who is here")
	}
	page.Open(at.Shop)
	v.wants("the sign-in page", page.Follow("#sign-in"), at.Issuer+"/signin/password", "h1", "Sign in")
	v.wants("the shop, without being asked again", v.signIn(), at.Shop+"/me", "#who", at.Email)
}

// makeMistake is a newcomer's first one: the demo says how to mend it.
func (v visit) makeMistake() {
	v.t.Helper()
	query := url.Values{"client_id": {"shop"}, "response_type": {"code"}, "scope": {"openid"}, "redirect_uri": {v.at.Shop + "/elsewhere"}}
	if status := v.page.Open(v.at.Issuer + "/oauth2/authorize?" + query.Encode()); status != http.StatusBadRequest {
		v.t.Errorf("status %d", status)
	}
	v.sees("what to run", ".diagnosis", "doorstep client update shop")
	v.look("mistake")
}

// visit is somebody at a place.
type visit struct {
	t    *testing.T
	page *providertest.Page
	at   place
	look func(name string) // at the page, once
}

// signIn fills in the account and returns the status of the page after it.
func (v visit) signIn() int {
	v.t.Helper()
	v.page.Fill("#identifier", v.at.Email)
	v.page.Fill("#password", v.at.Password)
	return v.page.Follow("button.primary")
}

// wants ends the test unless the browser came to that page and sees the text.
func (v visit) wants(what string, status int, url, selector, text string) {
	v.t.Helper()
	if status != http.StatusOK || !strings.HasPrefix(v.page.URL(), url) {
		v.t.Fatalf("%s: status %d at %s, want %s: %s", what, status, v.page.URL(), url, v.page.Text("body"))
	}
	v.sees(what, selector, text)
}

func (v visit) sees(what, selector, text string) {
	v.t.Helper()
	if got := v.page.Text(selector); !strings.Contains(got, text) {
		v.t.Fatalf("%s: %s says %q, want %q", what, selector, got, text)
	}
}

// startDemo runs `doorstep demo` as its users do and returns what it printed; the
// command on PATH is this test binary (see TestMain).
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
		// The one thing to tell is the mistake that the walk makes on purpose.
		err, told := cmd.Wait(), strings.TrimSpace(stderr.String())
		if err != nil || strings.Count(told, "\n") > 0 || !strings.Contains(told, "The redirect_uri is not registered for the client") {
			t.Errorf("demo: %v\n%s", err, told)
		}
	})
	at := place{demo: true}
	if err := json.NewDecoder(stdout).Decode(&at); err != nil {
		t.Fatalf("demo: %v\n%s", err, &stderr)
	}
	return at
}

// freePort is one that nobody listened on a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	port, err := command.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(port)
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
	resource := &storage.Resource{Audience: cfg.APIAudience, Name: "Forecourt Motors reservations", Scopes: storage.Strings{cfg.APIScope}}
	if _, err := p.Clients.CreateResource(t.Context(), resource, events.ActorOperator); err != nil {
		t.Fatal(err)
	}
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
