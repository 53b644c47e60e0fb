package storage_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/storage"
)

// What is changed by anybody is told of.
var watchTests = map[string]func(*testing.T, fixture){
	"a change of each kind is told of":         testChangesAreTold,
	"what changes nothing in memory is silent": testOtherWritesAreSilent,
	"a watch ends with its context":            testWatchEnds,
}

// patience is far more than anything takes here; what is awaited ends the wait.
const patience = 20 * time.Second

// A watch is a [storage.Store.Watch] that goes on.
type watch struct {
	t     *testing.T
	told  chan storage.Changes
	ended chan error
	stop  func()
}

// watching watches the store, and has heard that everything may have changed.
func watching(t *testing.T, s *storage.Store) *watch {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	w := &watch{t: t, told: make(chan storage.Changes, 100), ended: make(chan error, 1), stop: stop}
	go func() { w.ended <- s.Watch(ctx, func(c storage.Changes) { w.told <- c }) }()
	t.Cleanup(func() { // before the store is closed
		stop()
		_ = w.end() // the test that asks has its answer
	})
	if got := w.next(); got != storage.Everything {
		t.Fatalf("told %+v first, want everything", got)
	}
	return w
}

// next is what is told of next.
func (w *watch) next() storage.Changes {
	w.t.Helper()
	select {
	case c := <-w.told:
		return c
	case err := <-w.ended:
		w.ended <- err
		w.t.Fatalf("the watch ended: %v", err)
	case <-time.After(patience):
		w.t.Fatal("nothing is told of")
	}
	return storage.Changes{}
}

// end is why the watch ended.
func (w *watch) end() error {
	w.t.Helper()
	select {
	case err := <-w.ended:
		w.ended <- err
		return err
	case <-time.After(patience):
		w.t.Fatal("the watch goes on")
		return nil
	}
}

func newClient(id string) *storage.Client {
	return &storage.Client{ID: id, Version: 1, Name: id, RegisteredBy: storage.RegisteredByOperator, CreatedAt: now, UpdatedAt: now}
}

func testChangesAreTold(t *testing.T, f fixture) {
	w := watching(t, f.Store)
	other := fixture{Store: open(t, f.url), t: t, ctx: t.Context(), url: f.url} // as another process would
	client := newClient("web")
	key := &storage.Key{KID: "k1", Alg: "ES256", Public: doc(`{}`), Sealed: []byte{1}, CreatedAt: now, ActiveAt: now}
	revoked := &storage.Revocation{Kind: storage.RevokedKey, ID: "k1", NotBefore: now, ExpiresAt: now}
	resource := &storage.Resource{Audience: "https://api.example.com", Version: 1, Format: "jwt", Alg: "ES256", CreatedAt: now, UpdatedAt: now}
	for _, s := range []fixture{other, f} {
		for _, change := range []struct {
			name string
			do   func() error
			want storage.Changes
		}{
			{"client registered", func() error { return s.CreateClient(s.ctx, client) }, storage.Changes{ClientsAdded: true}},
			{"client changed", func() error { return s.UpdateClient(s.ctx, client) }, storage.Changes{Clients: true}},
			{"client deleted", func() error { return s.DeleteClient(s.ctx, client, now) }, storage.Changes{Clients: true}},
			{"resource registered", func() error { return s.CreateResource(s.ctx, resource) }, storage.Changes{Resources: true}},
			{"resource changed", func() error { return s.UpdateResource(s.ctx, resource) }, storage.Changes{Resources: true}},
			{"resource deleted", func() error { return s.DeleteResource(s.ctx, resource) }, storage.Changes{Resources: true}},
			{"key made", func() error { return s.CreateKey(s.ctx, key) }, storage.Changes{Keys: true}},
			{"keys replanned", func() error { return s.ReplanKeys(s.ctx, []storage.Key{*key}, now, nil, *key) }, storage.Changes{Keys: true}},
			{"key revoked", func() error { return s.Revoke(s.ctx, revoked) }, storage.Changes{Keys: true}},
			{"key revoked once more", func() error { return s.Revoke(s.ctx, revoked) }, storage.Changes{Keys: true}},
		} {
			f.must(change.do())
			if got := w.next(); got != change.want {
				t.Errorf("%s: told %+v, want %+v", change.name, got, change.want)
			}
		}
		client, key.KID, revoked.ID = newClient("spa"), "k2", "k2"
	}
}

func testOtherWritesAreSilent(t *testing.T, f fixture) {
	w := watching(t, f.Store)
	p := f.person("sub")
	f.session(p, "secret")
	f.grant(p, "code")
	f.must(f.Revoke(f.ctx, &storage.Revocation{Kind: storage.RevokedJTI, ID: "j", NotBefore: now, ExpiresAt: now}))
	f.must(f.CreateClient(f.ctx, newClient("web"))) // to see that the rest was looked at
	if got := w.next(); got != (storage.Changes{ClientsAdded: true}) {
		t.Errorf("told %+v, want of the client alone", got)
	}
}

func testWatchEnds(t *testing.T, f fixture) {
	w := watching(t, f.Store)
	w.stop()
	if err := w.end(); err != nil {
		t.Errorf("ended with %v", err)
	}
}

// TestWatchTellsWhoeverWrites: what neither this version nor any Go wrote is told of
// as well, as that of psql.
func TestWatchTellsWhoeverWrites(t *testing.T) {
	providertest.Databases(t, func(t *testing.T, url string) {
		f := newFixture(t, url)
		f.must(f.CreateClient(f.ctx, newClient("web")))
		w := watching(t, f.Store)
		if _, err := open(t, url).SQL().ExecContext(t.Context(), "UPDATE clients SET name = 'other'"); err != nil {
			t.Fatal(err)
		}
		if got := w.next(); got != (storage.Changes{Clients: true}) {
			t.Errorf("told %+v", got)
		}
	})
}

// TestWatchGathers: many changes at once are few calls, on Postgres as on SQLite.
func TestWatchGathers(t *testing.T) {
	providertest.Databases(t, func(t *testing.T, url string) {
		f := newFixture(t, url)
		w := watching(t, f.Store)
		began := time.Now()
		const n = 200
		for i := range n {
			f.must(f.CreateClient(f.ctx, newClient(fmt.Sprintf("c%d", i))))
		}
		took := time.Since(began)
		f.must(f.CreateKey(f.ctx, &storage.Key{KID: "k1", Alg: "ES256", Public: doc(`{}`), Sealed: []byte{1}, CreatedAt: now, ActiveAt: now}))
		calls := 1
		for !w.next().Keys {
			calls++
		}
		if most := 2 + int(took/(50*time.Millisecond)); calls > most {
			t.Errorf("%d calls for %d changes in %s, want at most %d", calls, n, took, most)
		}
	})
}

// TestWatchNoticesItsConnectionsEnd: whoever watches learns that it does no longer.
func TestWatchNoticesItsConnectionsEnd(t *testing.T) {
	f := newFixture(t, providertest.Postgres(t))
	w := watching(t, f.Store)
	if n := providertest.CutListeners(t, f.url); n != 1 {
		t.Fatalf("%d connections listen", n)
	}
	if err := w.end(); err == nil || errors.Is(err, storage.ErrDeaf) {
		t.Errorf("ended with %v", err)
	}
	if got := watching(t, f.Store); got == nil {
		t.Error("there is no second watch")
	}
}

// TestWatchNoticesThatItIsDeaf: behind what passes statements on and no
// notifications, as a pooler in transaction mode does, nothing is watched, and it says so.
func TestWatchNoticesThatItIsDeaf(t *testing.T) {
	direct := providertest.Postgres(t)
	store := open(t, deafened(t, direct))
	store.WatchImpatiently()
	told := make(chan storage.Changes, 100)
	err := store.Watch(t.Context(), func(c storage.Changes) { told <- c })
	if !errors.Is(err, storage.ErrDeaf) {
		t.Errorf("got %v, want ErrDeaf", err)
	}
	if len(told) > 0 {
		t.Errorf("told %+v", <-told)
	}
	if err := store.Ping(t.Context()); err != nil {
		t.Errorf("nothing goes through: %v", err)
	}
}

// TestWatchHearsItself: as long as it hears, checking ends nothing.
func TestWatchHearsItself(t *testing.T) {
	f := newFixture(t, providertest.Postgres(t))
	f.WatchOften()
	w := watching(t, f.Store)
	for i := range 20 {
		f.must(f.CreateClient(f.ctx, newClient(string(rune('a'+i)))))
		if got := w.next(); got != (storage.Changes{ClientsAdded: true}) {
			t.Fatalf("told %+v", got)
		}
	}
}

// TestWatchHearsWhatWaited: who was busy for longer than its patience finds what it asked
// for in the queue, behind others, and is not deaf.
func TestWatchHearsWhatWaited(t *testing.T) {
	const own, times = "own", 12
	arrives, done, busy := make(chan storage.Heard), make(chan struct{}), make(chan struct{})
	asked, told := 0, 0
	ask := func() error {
		asked++
		go func(first bool) {
			if !first {
				arrives <- storage.Heard{Channel: "changes", Payload: "keys"}
				<-busy
				arrives <- storage.Heard{Channel: "changes", Payload: "keys"}
			}
			arrives <- storage.Heard{Channel: own}
		}(asked == 1)
		return nil
	}
	err := storage.Attend(arrives, done, own, func(c storage.Changes) {
		if told++; c == storage.Everything {
			return
		}
		if told == times {
			close(done)
			return
		}
		select {
		case busy <- struct{}{}:
			time.Sleep(30 * time.Millisecond) // more than its patience
		default: // of what was behind it
		}
	}, ask)
	if err == nil || errors.Is(err, storage.ErrDeaf) || told != times {
		t.Errorf("told %d times, %v", told, err)
	}
}

// deafened returns the URL of a way to the database that swallows notifications.
func deafened(t *testing.T, database string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(u.Query().Get("host"), ".s.PGSQL.5432")
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // the connections end with the store
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := (&net.Dialer{}).Dial("unix", socket)
			if err != nil {
				_ = client.Close()
				return
			}
			go func() { _, _ = io.Copy(server, client); _ = server.Close() }()
			go func() { _ = withoutNotifications(client, server); _ = client.Close() }()
		}
	}()
	host, port, _ := net.SplitHostPort(l.Addr().String()) // an address of our own
	q := url.Values{"host": {host}, "port": {port}, "sslmode": {"disable"}}
	u.RawQuery = q.Encode()
	return u.String()
}

// withoutNotifications passes on messages of the server, which are a type, a length
// that counts itself, and the rest (PostgreSQL, Frontend/Backend Protocol).
func withoutNotifications(client io.Writer, server io.Reader) error {
	const notification = 'A'
	for {
		var head [5]byte
		if _, err := io.ReadFull(server, head[:]); err != nil {
			return err
		}
		rest := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
		if _, err := io.ReadFull(server, rest); err != nil {
			return err
		}
		if head[0] == notification {
			continue
		}
		if _, err := client.Write(append(head[:], rest...)); err != nil {
			return err
		}
	}
}
