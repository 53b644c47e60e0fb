package clients

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/storage"
)

// sum is a fingerprint of nothing in particular.
func sum(pair string) string { return strings.TrimSuffix(strings.Repeat(pair+":", 32), ":") }

func phone(id string) Registration {
	r := web(id)
	r.ApplicationType = typeNative
	r.AppleAppIDs = []string{"ABCDE12345.com.example." + id}
	r.AndroidApps = []storage.AndroidApp{{Package: "com.example." + id, Fingerprints: []string{sum("AA")}}}
	return r
}

func TestAppsAreChecked(t *testing.T) {
	h := start(t)
	for what, tc := range map[string]struct {
		by     events.Actor
		change func(*Registration)
		fields []string
	}{
		"a web client's":         {events.ActorOperator, func(r *Registration) { r.ApplicationType = typeWeb }, []string{"apple_app_ids"}},
		"not by an operator":     {events.ActorClient, func(*Registration) {}, []string{"apple_app_ids"}},
		"no team":                {events.ActorOperator, func(r *Registration) { r.AppleAppIDs = []string{"com.example.cars"} }, []string{"apple_app_ids"}},
		"a team in lower case":   {events.ActorOperator, func(r *Registration) { r.AppleAppIDs = []string{"abcde12345.com.example"} }, []string{"apple_app_ids"}},
		"no bundle":              {events.ActorOperator, func(r *Registration) { r.AppleAppIDs = []string{"ABCDE12345."} }, []string{"apple_app_ids"}},
		"every bundle":           {events.ActorOperator, func(r *Registration) { r.AppleAppIDs = []string{"ABCDE12345.*"} }, []string{"apple_app_ids"}},
		"a line more":            {events.ActorOperator, func(r *Registration) { r.AppleAppIDs = []string{"ABCDE12345.com\n"} }, []string{"apple_app_ids"}},
		"a bundle that is long":  {events.ActorOperator, func(r *Registration) { r.AppleAppIDs[0] += strings.Repeat("x", 200) }, []string{"apple_app_ids"}},
		"one app twice":          {events.ActorOperator, func(r *Registration) { r.AppleAppIDs = append(r.AppleAppIDs, r.AppleAppIDs[0]) }, []string{"apple_app_ids"}},
		"too many":               {events.ActorOperator, func(r *Registration) { r.AppleAppIDs = slices.Repeat([]string{"ABCDE12345.a"}, 21) }, []string{"apple_app_ids"}},
		"one name":               {events.ActorOperator, func(r *Registration) { r.AndroidApps[0].Package = "cars" }, []string{"android_apps.package"}},
		"a name that is a digit": {events.ActorOperator, func(r *Registration) { r.AndroidApps[0].Package = "com.1cars" }, []string{"android_apps.package"}},
		"no package":             {events.ActorOperator, func(r *Registration) { r.AndroidApps[0].Package = "" }, []string{"android_apps.package"}},
		"one package twice":      {events.ActorOperator, func(r *Registration) { r.AndroidApps = append(r.AndroidApps, r.AndroidApps[0]) }, []string{"android_apps.package"}},
		"no fingerprint":         {events.ActorOperator, func(r *Registration) { r.AndroidApps[0].Fingerprints = nil }, []string{"android_apps.sha256_cert_fingerprints"}},
		"SHA-1": {events.ActorOperator, func(r *Registration) {
			r.AndroidApps[0].Fingerprints = []string{strings.TrimSuffix(strings.Repeat("AA:", 20), ":")}
		}, []string{"android_apps.sha256_cert_fingerprints"}},
		"no colons":             {events.ActorOperator, func(r *Registration) { r.AndroidApps[0].Fingerprints = []string{strings.Repeat("AA", 32)} }, []string{"android_apps.sha256_cert_fingerprints"}},
		"one fingerprint twice": {events.ActorOperator, func(r *Registration) { r.AndroidApps[0].Fingerprints = []string{sum("AA"), sum("aa")} }, []string{"android_apps.sha256_cert_fingerprints"}},
	} {
		r := phone("cars")
		tc.change(&r)
		_, _, err := h.Create(t.Context(), r, tc.by)
		wantFaults(t, what, err, tc.fields...)
	}
}

func TestDocumentsOfAppsAreReadStrictly(t *testing.T) {
	for document, want := range map[string]string{
		`{"android_apps": [{"package": "a.b", "sha256": []}]}`:                      "android_apps.sha256: is not a member that is known here",
		`{"android_apps": [{"Package": "a.b"}]}`:                                    "android_apps.Package: is not a member that is known here",
		`{"android_apps": [{"package": 1}]}`:                                        "android_apps.package: must be a string",
		`{"android_apps": {}}`:                                                      "android_apps: must be a list of objects",
		`{"android_apps": [{"package": "a.b", "sha256_cert_fingerprints": "AA"}]}`:  "android_apps.sha256_cert_fingerprints: must be a list of strings",
		`{"android_apps": [{"package": "a.b", "package": "c.d"}]}`:                  "package: is there twice",
		`{"apple_app_ids": "ABCDE12345.com.example"}`:                               "apple_app_ids: must be a list of strings",
		`{"android_apps": [{"package": "a.b", "sha256_cert_fingerprints": ["A"]}]}`: "",
	} {
		_, err := DecodeRegistration(strings.NewReader(document))
		if got := text(err); got != want {
			t.Errorf("%s: %q, want %q", document, got, want)
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// Apps are those of enabled clients, each once, and change with them.
func TestAppsAreThoseOfClients(t *testing.T) {
	h := start(t)
	want := func(when string, apple []string, android []storage.AndroidApp) {
		t.Helper()
		got, err := h.Apps(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.Apple, apple) || !reflect.DeepEqual(got.Android, android) {
			t.Errorf("%s: %v and %v, want %v and %v", when, got.Apple, got.Android, apple, android)
		}
	}
	origin := func(when, origin string, want bool) {
		t.Helper()
		if got, err := h.IsAppOrigin(t.Context(), origin); got != want || err != nil {
			t.Errorf("%s: %s: %v, %v, want %v", when, origin, got, err, want)
		}
	}
	const (
		aa = "android:apk-key-hash:qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqo"
		bb = "android:apk-key-hash:u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7s"
	)
	want("at first", nil, nil)
	origin("at first", aa, false)

	h.create(t, web("shop"))
	h.create(t, phone("vans"))
	c, _ := h.create(t, phone("cars"))
	cars := storage.AndroidApp{Package: "com.example.cars", Fingerprints: []string{sum("AA")}}
	vans := storage.AndroidApp{Package: "com.example.vans", Fingerprints: []string{sum("AA")}}
	want("two clients", []string{"ABCDE12345.com.example.cars", "ABCDE12345.com.example.vans"}, []storage.AndroidApp{cars, vans})
	origin("two clients", aa, true)
	for _, other := range []string{bb, strings.ToUpper(aa), aa + "=", aa[:len(aa)-1], "android:apk-key-hash:", ""} {
		origin("two clients", other, false)
	}

	both := phone("cars")
	both.ClientID = "cars-beta"
	both.AndroidApps[0].Fingerprints = []string{sum("bb"), sum("AA")}
	h.create(t, both)
	cars.Fingerprints = []string{sum("AA"), sum("BB")}
	want("one app of two clients", []string{"ABCDE12345.com.example.cars", "ABCDE12345.com.example.vans"}, []storage.AndroidApp{cars, vans})
	origin("one app of two clients", bb, true)

	if _, err := h.Update(t.Context(), "cars-beta", []byte(`{"android_apps": null, "apple_app_ids": null}`), events.ActorOperator); err != nil {
		t.Fatal(err)
	}
	origin("one has none any more", bb, false)
	if err := h.SetDisabled(t.Context(), c, true, events.ActorOperator); err != nil {
		t.Fatal(err)
	}
	want("one is disabled", []string{"ABCDE12345.com.example.vans"}, []storage.AndroidApp{vans})
	origin("one is disabled", aa, true)
	if err := h.Delete(t.Context(), "vans", events.ActorOperator); err != nil {
		t.Fatal(err)
	}
	want("the other is deleted", nil, nil)
	origin("the other is deleted", aa, false)

	other := New(Config{Issuer: "https://id.example"}, h.store, h.events, h.now)
	if _, _, err := other.Create(t.Context(), phone("late"), events.ActorOperator); err != nil {
		t.Fatal(err)
	}
	h.pass(3 * time.Second)
	origin("another process registered one", aa, true)
}
