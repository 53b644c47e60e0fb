package provider_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

// certificate is the fingerprint of an app's certificate, and signedBy what the app
// calls itself.
func certificate(pair string) string { return strings.TrimSuffix(strings.Repeat(pair+":", 32), ":") }

const (
	signedByAA = "android:apk-key-hash:qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqo"
	signedByBB = "android:apk-key-hash:u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7s"
)

// phoneApp makes a client one app on Apple's systems and on Android.
func phoneApp(pair string) func(*clients.Registration) {
	return func(r *clients.Registration) {
		r.ApplicationType = "native"
		r.AppleAppIDs = []string{"ABCDE12345.com.example." + r.ClientID}
		r.AndroidApps = []storage.AndroidApp{{Package: "com.example." + r.ClientID, Fingerprints: []string{certificate(pair)}}}
	}
}

// Apple's associated domains and Digital Asset Links: at the root of the host stands
// which apps are given the passwords and passkeys of this domain, if any is.
func TestPhonesAreToldWhichAppsAreOurs(t *testing.T) {
	p := providertest.Start(t, providertest.Configure(func(c *provider.Config) {
		c.Issuer = &url.URL{Scheme: "https", Host: "login.shop.example", Path: "/id"}
	}))
	for _, path := range []string{web.PathAppleApps, web.PathAndroidApps} {
		p.Get(path).WantStatus(http.StatusNotFound)
	}
	p.Client("cars", phoneApp("AA"))
	for path, want := range map[string]string{
		web.PathAppleApps: `{"webcredentials":{"apps":["ABCDE12345.com.example.cars"]}}`,
		web.PathAndroidApps: `[{"relation":["delegate_permission/common.get_login_creds","delegate_permission/common.handle_all_urls"],` +
			`"target":{"namespace":"android_app","package_name":"com.example.cars","sha256_cert_fingerprints":["` + certificate("AA") + `"]}}]`,
	} {
		a := p.Get(path).WantStatus(http.StatusOK)
		if got := string(a.Body); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
		for name, want := range map[string]string{"Content-Type": "application/json", "Cache-Control": "public, max-age=900", "X-Content-Type-Options": "nosniff"} {
			if got := a.Header.Get(name); got != want {
				t.Errorf("%s: %s: %q, want %q", path, name, got, want)
			}
		}
	}
}

// What one's own app on Android brings is taken; see [TestAttack66AnAppIsOneOfOurs].
func TestAppsMayAsk(t *testing.T) {
	p := providertest.Start(t)
	rp := p.Client("web", providertest.FirstParty)
	p.Client("cars", phoneApp("AA"))
	ours := func(s *providertest.Said) { s.Origin = signedByAA }
	d := p.Device(phone)
	addingPage(t, p, p.Browser().SignIn("ada")).answer(d, ours).WantStatus(signedOn)
	signInPage(t, p, rp).answer(d, ours).WantStatus(signedOn)
	stepUpPage(t, p, rp, "ada").answer(d, ours).WantStatus(signedOn)
}
