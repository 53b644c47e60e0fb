package provider_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime/metrics"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/directory"
	"github.com/doorstep-id/doorstep/provider/proof"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

// newcomer is somebody with this address and password.
func newcomer(t *testing.T, p *providertest.P, email, password string) *storage.Person {
	t.Helper()
	person, err := p.Directory.Create(t.Context(), directory.NewPerson{Email: email, Verified: true}, "operator")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Passwords.Set(t.Context(), person, password, "operator"); err != nil {
		t.Fatal(err)
	}
	return person
}

// Okta, October 2024: a hash over a name and a password that was cut at 72 bytes
// let anybody in behind a name of 52. A password is all of its bytes, and a name
// is none of them. NIST SP 800-63B-4 section 3.1.1.2.
func TestAttack63EveryByteOfAPasswordCounts(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web")
		name := strings.Repeat("a", 64) + "@example.com"
		for _, right := range []string{
			"four horses on a hill",
			strings.Repeat("p", 256),
			strings.Repeat("pä", 341) + "x", // 1024 bytes
			"four horses\x00on a hill far away",
			"  four horses, with spaces  ",
		} {
			newcomer(t, p, name, right)
			g := guesserAt(t, p, rp, p.Browser())
			last := len(right) - 1
			for how, guessed := range map[string]string{
				"without its last byte":  right[:last],
				"with another last byte": right[:last] + "\x7f",
				"and one byte more":      right + "x",
				"cut at 72 bytes":        right[:min(72, last)],
				"cut at NUL":             strings.SplitN(right+"\x00", "\x00", 2)[0] + " ",
				"trimmed":                strings.TrimSpace(right) + "\t",
				"in upper case":          strings.ToUpper(right),
				"doubled":                right + "\x00" + right,
			} {
				a := g.try(name, guessed)
				if len(guessed) > 1024 && a.Status == http.StatusRequestEntityTooLarge {
					continue
				}
				if a.Status != wrong {
					t.Errorf("a password of %d bytes %s: %s", len(right), how, a)
				}
			}
			g.try(name, right).WantStatus(signedOn)
			g.try(name, guess).WantStatus(wrong) // nothing is remembered of the right one
			name = name[1:]
		}
	})
}

// RFC 9110 section 15.5.14: too much is not read; and what there is to hash is
// bounded, the rest is sent away while there is still something to say it with.
func TestAttack64SigningInCostsOnlySoMuch(t *testing.T) { // alone: it watches the heap
	const workers, queue, cost = 1, 3, 12 << 20
	p := providertest.Start(t, providertest.Configure(func(c *provider.Config) {
		c.Password = proof.PasswordConfig{Memory: cost >> 10, Time: 3, Threads: 1, Workers: workers, Queue: queue}
	}))
	rp := p.Client("web")
	p.Person("ada")
	g := guesserAt(t, p, rp, p.Browser())

	t.Run("long passwords", func(t *testing.T) {
		for _, size := range []int{1025, 60_000} {
			if a := g.try("ada@example.com", strings.Repeat("x", size)); a.Status != http.StatusRequestEntityTooLarge {
				t.Errorf("a password of %d bytes: %s", size, a)
			}
		}
		if status := shout(t, p, g.request("ada@example.com", strings.Repeat("x", 1<<20))); status != http.StatusRequestEntityTooLarge {
			t.Errorf("a password of a megabyte: status %d", status)
		}
		if n := p.Passwords.Hashes(); n != 1 { // that of setting ada's
			t.Errorf("%d hashes", n)
		}
	})

	t.Run("ten times too many", func(t *testing.T) {
		var requests []*http.Request
		for i := range 10 * (workers + queue) {
			requests = append(requests, g.request(fmt.Sprintf("person%d@example.com", i), guess))
		}
		before, stop := p.Passwords.Hashes(), watchHeap()
		counted := map[int]uint64{}
		for _, a := range p.AtOnce(requests...) {
			counted[a.Status]++
			if a.Status == http.StatusServiceUnavailable && a.Header.Get("Retry-After") == "" {
				t.Errorf("%s has no Retry-After", a)
			}
		}
		if grown := stop(); grown > 12*cost {
			t.Errorf("the heap grew by %d MiB", grown>>20)
		}
		hashed := p.Passwords.Hashes() - before
		if counted[wrong] != hashed || counted[http.StatusServiceUnavailable] == 0 || len(counted) != 2 {
			t.Errorf("statuses %v after %d hashes, want 422 for each of these and 503 for the others", counted, hashed)
		}
		rp.ClientCredentials().OK()
		g.try("ada@example.com", providertest.Password).WantStatus(signedOn)
	})
}

// Whoever is one too many has nothing written for them, and nothing put back: a flood
// costs the database next to nothing.
func TestAttack64WhoIsSentAwayWritesNothing(t *testing.T) {
	t.Parallel()
	p := providertest.Start(t, providertest.On(providertest.Postgres(t)), providertest.Configure(func(c *provider.Config) {
		c.Password = proof.PasswordConfig{Memory: proof.MaxMemory, Time: 8, Threads: 1, Workers: 1, Queue: 1} // most of a second
	}))
	g := guesserAt(t, p, p.Client("web"), p.Browser())
	first, later := g.request("first@example.com", guess), g.request("second@example.com", guess)
	var waiting sync.WaitGroup
	waiting.Go(func() { p.AtOnce(first, later) })
	for load := p.Passwords.Load(); load.Running < 1 || load.Waiting < 1; load = p.Passwords.Load() {
		time.Sleep(time.Millisecond)
	}
	var third *providertest.Answer
	sent := p.Statements.During(func() { third = g.try("third@example.com", guess) })
	if load := p.Passwords.Load(); load.Shed != 1 {
		t.Errorf("%+v: want one that was sent away", load)
	}
	third.WantStatus(http.StatusServiceUnavailable)
	if len(sent) == 0 {
		t.Error("nothing was counted")
	}
	for _, statement := range sent {
		if !strings.HasPrefix(statement, "SELECT") {
			t.Errorf("wrote: %s", statement)
		}
	}
	waiting.Wait()
}

// Attack case 64: who is sent away as they choose a password is asked for it again, on the page that
// they are at, and told when.
func TestAttack64WhoIsSentAwayIsAskedAgain(t *testing.T) {
	t.Parallel()
	box := providertest.NewMailbox(t)
	p := providertest.Start(t, providertest.WithMailbox(box), providertest.Configure(func(c *provider.Config) {
		c.Password = proof.PasswordConfig{Memory: 128 << 10, Time: 4, Threads: 1, Workers: 1, Queue: 1} // some tenths of a second
	}))
	rp := p.Client("web", providertest.FirstParty)
	ada := p.Person("ada")
	p.Clock.Advance(time.Hour)
	b := p.Browser().SignIn("ada")
	b.Authorize(rp, "openid")
	at := b.StopAt(web.PathNewPassword).Walk(nil, p.URL(web.PathSecurityPassword)).URL.String()
	r := lost(t, p, box, p.Browser(), rp)
	r.proves(ada.Email)
	changes, resets := b.Filled(at, providertest.With("password", another)), r.Filled(r.at, providertest.With("password", another))
	g := guesserAt(t, p, rp, p.Browser())
	first, later := g.request("first@example.com", guess), g.request("second@example.com", guess)
	var waiting sync.WaitGroup
	waiting.Go(func() { p.AtOnce(first, later) })
	for load := p.Passwords.Load(); load.Running < 1 || load.Waiting < 1; load = p.Passwords.Load() {
		time.Sleep(time.Millisecond)
	}
	for _, a := range []*providertest.Answer{b.Send(changes), r.Send(resets)} {
		a.WantStatus(http.StatusServiceUnavailable)
		if form := providertest.ReadForm(a.Body); a.Header.Get("Retry-After") == "" || form == nil || !form.Fields.Has("password") || !strings.Contains(string(a.Body), "Please try again in") {
			t.Errorf("%s, to come back after %q: %s", a, a.Header.Get("Retry-After"), a.Body)
		}
	}
	waiting.Wait()
	b.Send(b.Filled(at, providertest.With("password", another))).WantStatus(http.StatusSeeOther)
}

// watchHeap returns what stops watching and tells by how many bytes the heap
// had grown at most.
func watchHeap() (stop func() uint64) {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	read := func() uint64 { metrics.Read(sample); return sample[0].Value.Uint64() }
	first := read()
	done, most := make(chan struct{}), make(chan uint64)
	go func() {
		peak := first
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				peak = max(peak, read())
			case <-done:
				most <- peak - first
				return
			}
		}
	}()
	return func() uint64 { close(done); return <-most }
}

// shout sends a request whose answer comes before its end: it is read while the
// rest is still being written, as no polite client does.
func shout(t *testing.T, p *providertest.P, r *http.Request) int {
	t.Helper()
	at, err := url.Parse(p.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	return shoutAt(t, net.JoinHostPort("127.0.0.1", at.Port()), func(w io.Writer) { _ = r.Write(w) }) // it may well be cut off
}

func shoutAt(t *testing.T, address string, write func(io.Writer)) int {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // the server may have been first
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	go write(conn)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode
}

// NIST SP 800-63B-4 section 3.1.1.2: a password that stands alone has 15
// characters, and is not what everybody would try first.
func TestAttack65WeakPasswordIsNotSet(t *testing.T) {
	t.Parallel()
	p := providertest.Start(t)
	rp := p.Client("web")
	const right = "four horses on a hill"
	ada := newcomer(t, p, "lovelace@example.com", right)
	g := guesserAt(t, p, rp, p.Browser())
	for _, weak := range []string{
		"", "password", "fourteen chars", strings.Repeat("ä", 14), "lovelace 1815 1852", "I am LoveLace 1815", "welcome to doorstep", "DOORSTEP is my house",
		"not valid \xff UTF-8 at all", "passwordpassword", "123456789987654321", "QwertyUiop12345",
	} {
		if err := p.Passwords.Set(t.Context(), ada, weak, "operator"); err == nil {
			t.Errorf("%q was set", weak)
		}
		if weak != "" && g.try("lovelace@example.com", weak).Status == signedOn {
			t.Errorf("%q signs in", weak)
		}
		p.Clock.Advance(time.Hour)
		g = guesserAt(t, p, rp, p.Browser())
	}
	g.try("lovelace@example.com", right).WantStatus(signedOn)
	for _, strong := range []string{strings.Repeat("ä", 15), "five horses, 15"} {
		if err := p.Passwords.Set(t.Context(), ada, strong, "operator"); err != nil {
			t.Errorf("%q: %v", strong, err)
		}
		g.try("lovelace@example.com", strong).WantStatus(signedOn)
	}
}
