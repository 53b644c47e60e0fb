package providertest

import (
	"net/http"

	"github.com/doorstep-id/doorstep/storage"
)

// Watch shows every answer that the browser gets from now on, redirects
// included, with what it was asked. The body is not for reading.
func (b *Browser) Watch(seen func(*http.Request, *http.Response)) *Browser {
	b.http.Transport = watched{b.http.Transport, seen}
	return b
}

type watched struct {
	http.RoundTripper
	seen func(*http.Request, *http.Response)
}

func (w watched) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := w.RoundTripper.RoundTrip(r)
	if err == nil {
		w.seen(r, res)
	}
	return res, err
}

// Next returns the URL that an answer sends the browser on to, or fails the test
// if it sends it nowhere.
func (b *Browser) Next(a *Answer) string {
	b.t.Helper()
	location := a.Header.Get("Location")
	if location == "" {
		b.t.Fatalf("%s, want a redirect", a)
	}
	return b.parse(b.p.Issuer).ResolveReference(b.parse(location)).String()
}

// Unvouched makes the client one that no operator registered.
func (rp *RP) Unvouched() *RP {
	rp.t.Helper()
	ctx, store := rp.t.Context(), rp.p.Store
	c, err := store.Client(ctx, rp.ID)
	if err == nil {
		err = store.DeleteClient(ctx, c, storage.At(rp.p.Clock.Now()))
	}
	if err == nil {
		c.RegisteredBy = "dynamic"
		err = store.CreateClient(ctx, c)
	}
	if err != nil {
		rp.t.Fatal(err)
	}
	return rp
}
