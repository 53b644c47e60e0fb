package clients

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"regexp"
	"slices"
	"strings"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/storage"
)

// maxApps is how many apps one client is on Apple's systems, and on Android, and how
// many certificates an app may be signed with.
const maxApps = 20

var (
	// appleAppID is an application identifier: ten characters of a team, and the
	// bundle's identifier.
	appleAppID = regexp.MustCompile(`^[A-Z0-9]{10}\.[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$`)
	// androidPackage is an application id: two names or more.
	androidPackage = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)+$`)
	// fingerprint is SHA-256 as keytool and Google Play show it.
	fingerprint = regexp.MustCompile(`^[0-9A-F]{2}(:[0-9A-F]{2}){31}$`)
)

// maxAppName is the longest name of an app, in bytes.
const maxAppName = 200

// apps checks the apps that a client is. They are given the passwords and passkeys of
// our domain, so only an operator says which; fingerprints are kept in upper case.
func (f *faults) apps(r *Registration, by events.Actor) {
	if !f.mayBeApps("apple_app_ids", len(r.AppleAppIDs), r, by) || !f.mayBeApps("android_apps", len(r.AndroidApps), r, by) {
		return
	}
	for i, id := range r.AppleAppIDs {
		switch {
		case len(id) > maxAppName || !appleAppID.MatchString(id):
			f.add("apple_app_ids", "%q is not a team's id and a bundle's, such as ABCDE12345.com.example.cars", shortened(id))
		case slices.Contains(r.AppleAppIDs[:i], id):
			f.add("apple_app_ids", "%q is there twice", id)
		}
	}
	for i := range r.AndroidApps {
		app := &r.AndroidApps[i]
		switch {
		case len(app.Package) > maxAppName || !androidPackage.MatchString(app.Package):
			f.add("android_apps.package", "%q is not the name of a package, such as com.example.cars", shortened(app.Package))
		case slices.ContainsFunc(r.AndroidApps[:i], func(a storage.AndroidApp) bool { return a.Package == app.Package }):
			f.add("android_apps.package", "%q is there twice", app.Package)
		}
		f.fingerprints(app)
	}
}

// mayBeApps reports whether a client may be so many apps of one kind.
func (f *faults) mayBeApps(field string, n int, r *Registration, by events.Actor) bool {
	before := len(*f)
	switch {
	case n == 0:
	case by != events.ActorOperator:
		f.add(field, "is for an operator to say")
	case r.ApplicationType != typeNative:
		f.add(field, "is for application_type native")
	case n > maxApps:
		f.add(field, "has more than %d entries", maxApps)
	}
	return len(*f) == before
}

func (f *faults) fingerprints(app *storage.AndroidApp) {
	const field = "android_apps.sha256_cert_fingerprints"
	if n := len(app.Fingerprints); n == 0 || n > maxApps {
		f.add(field, "must have 1 to %d entries: certificates that %q is signed with", maxApps, shortened(app.Package))
	}
	app.Fingerprints = slices.Clone(app.Fingerprints)
	for i, sum := range app.Fingerprints {
		app.Fingerprints[i] = strings.ToUpper(sum)
		switch {
		case !fingerprint.MatchString(app.Fingerprints[i]):
			f.add(field, "%q is not SHA-256 in pairs of hexadecimal digits with : between, as keytool shows it", shortened(sum))
		case slices.Contains(app.Fingerprints[:i], app.Fingerprints[i]):
			f.add(field, "%q is there twice", sum)
		}
	}
}

// Apps is the apps that clients are, each once, in order.
type Apps struct {
	Apple   []string
	Android []storage.AndroidApp
	// origins are what Android's apps call themselves where a page would name its origin.
	origins map[string]bool
}

// Apps returns the apps of all enabled clients, which the caller must not change. They
// may have been changed meanwhile.
func (s *Service) Apps(ctx context.Context) (Apps, error) {
	set, err := s.places(ctx)
	if err != nil {
		return Apps{}, err
	}
	return set.apps, nil
}

// IsAppOrigin reports whether origin is that of an enabled client's app on Android:
// "android:apk-key-hash:" and SHA-256 of a certificate that it is signed with. It may
// have been changed meanwhile.
func (s *Service) IsAppOrigin(ctx context.Context, origin string) (bool, error) {
	apps, err := s.Apps(ctx)
	return apps.origins[origin], err
}

// add adds a client's apps: two clients that are one app name it once, with the
// certificates of both.
func (a *Apps) add(c *storage.ClientPlaces) {
	a.Apple = append(a.Apple, c.Apple...)
	for _, app := range c.Android.V {
		for _, sum := range app.Fingerprints {
			a.origins[originOfApp(sum)] = true
		}
		i := slices.IndexFunc(a.Android, func(known storage.AndroidApp) bool { return known.Package == app.Package })
		if i < 0 {
			a.Android = append(a.Android, app)
			continue
		}
		a.Android[i].Fingerprints = slices.Concat(a.Android[i].Fingerprints, app.Fingerprints)
	}
}

// order leaves each once.
func (a *Apps) order() {
	once := func(names []string) []string { slices.Sort(names); return slices.Compact(names) }
	a.Apple = once(a.Apple)
	for i := range a.Android {
		a.Android[i].Fingerprints = once(a.Android[i].Fingerprints)
	}
	slices.SortFunc(a.Android, func(x, y storage.AndroidApp) int { return strings.Compare(x.Package, y.Package) })
}

// originOfApp is what an app that is signed with this certificate calls itself, "" for
// what is no fingerprint.
func originOfApp(sum string) string {
	raw, err := hex.DecodeString(strings.ReplaceAll(sum, ":", ""))
	if err != nil {
		return ""
	}
	return "android:apk-key-hash:" + base64.RawURLEncoding.EncodeToString(raw)
}
