package soak_test

import (
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/soak"
	"github.com/doorstep-id/doorstep/provider/web"
)

// R3: Postgres restarts. The servers live on, say within two seconds that they
// cannot serve, answer 503 meanwhile, and serve five seconds after it at the latest.
func TestServersOutliveTheirDatabase(t *testing.T) {
	t.Parallel()
	databaseRestarts(t, 3, 1)
}

// databaseRestarts has Postgres stopped at once, stopped hard and killed, in turn.
func databaseRestarts(t *testing.T, people, rounds int) {
	t.Helper()
	pg := providertest.OwnPostgres(t)
	database := pg.Database()
	s := soak.Start(t, 2, database)
	c := soak.NewCrowd(t, s, people, soak.NewLedger(t, filepath.Join(t.TempDir(), "ledger")))
	stops := []struct {
		name string
		stop func()
	}{
		{"fast", func() { pg.Stop("fast") }},
		{"immediate", func() { pg.Stop("immediate") }},
		{"kill -9", pg.Kill},
	}
	work(t, c, func() {
		for range rounds {
			for _, how := range stops {
				time.Sleep(time.Second)
				c.Ledger.During("postgres "+how.name, func() time.Duration {
					how.stop()
					noticed := soak.Within(t, 2*time.Second, "a server notices that its database is gone", func() bool { return !s.Ready(0) && !s.Ready(1) })
					for i := range 2 {
						if !s.Alive(i) {
							t.Error("a server that has no database says that it is dead")
						}
						wantUnavailable(t, s, i)
					}
					pg.Start()
					back := soak.Within(t, 5*time.Second, "the servers serve again", func() bool { return s.Ready(0) && s.Ready(1) })
					t.Logf("%s: unready after %s, ready %s after the database", how.name, noticed.Round(time.Millisecond), back.Round(time.Millisecond))
					return 5 * time.Second
				})
			}
		}
		time.Sleep(time.Second)
	})
	t.Logf("%s; %s", settle(t, c, database), soak.Summary(c.Ledger.Entries()))
}

// wantUnavailable asks for what needs the database.
func wantUnavailable(t *testing.T, s *soak.Servers, i int) {
	t.Helper()
	c := http.Client{Transport: s.To(i), Timeout: 10 * time.Second}
	res, err := c.PostForm(s.P.URL(web.PathToken), url.Values{"grant_type": {"authorization_code"}, "code": {strings.Repeat("c", 43)}, "client_id": {"nobody"}})
	if err != nil {
		t.Error(err)
		return
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
		t.Errorf("without a database: %d, Retry-After %q", res.StatusCode, res.Header.Get("Retry-After"))
	}
}

// R5: the database does what it was asked for, and its answer is lost. Asked again,
// nobody has lost anything, and nothing happens twice.
func TestALostCommitIsFoundAgain(t *testing.T) {
	t.Parallel()
	commitsLost(t, 4, 4*time.Second)
}

func commitsLost(t *testing.T, people int, long time.Duration) {
	t.Helper()
	pg := providertest.OwnPostgres(t)
	wire := soak.NewWire(t, pg.Socket())
	database := pg.Database()
	s := soak.Start(t, 2, wire.Through(t, database))
	c := soak.NewCrowd(t, s, people, soak.NewLedger(t, filepath.Join(t.TempDir(), "ledger")))
	work(t, c, func() {
		c.Ledger.During("answers lost", func() time.Duration {
			wire.Lose(23)
			time.Sleep(long)
			wire.Lose(0)
			return time.Second
		})
		time.Sleep(time.Second)
	})
	a := settle(t, c, database)
	if wire.Lost.Load() == 0 {
		t.Error("nothing was lost")
	}
	t.Logf("%d answers lost; %s; %s", wire.Lost.Load(), a, soak.Summary(c.Ledger.Entries()))
}

// R6: each answer of the database takes two seconds longer. No request waits for
// longer than its limit, the process lives, and it is as quick as before soon after.
func TestASlowDatabaseIsShed(t *testing.T) {
	t.Parallel()
	slowed(t, 4, 3*time.Second)
}

func slowed(t *testing.T, people int, long time.Duration) {
	t.Helper()
	pg := providertest.OwnPostgres(t)
	wire := soak.NewWire(t, pg.Socket())
	database := pg.Database()
	s := soak.Start(t, 1, wire.Through(t, database))
	c := soak.NewCrowd(t, s, people, soak.NewLedger(t, filepath.Join(t.TempDir(), "ledger")))
	var from, till time.Time
	work(t, c, func() {
		time.Sleep(time.Second)
		c.Ledger.During("slow", func() time.Duration {
			from = time.Now()
			wire.Delay(2 * time.Second)
			for till = from.Add(long); time.Now().Before(till); time.Sleep(100 * time.Millisecond) {
				if !s.Alive(0) {
					t.Error("a server whose database is slow says that it is dead")
				}
			}
			wire.Delay(0)
			return 10 * time.Second
		})
		soak.Within(t, 10*time.Second, "the server is ready", func() bool { return s.Ready(0) })
		time.Sleep(time.Second)
	})
	longest := time.Duration(0)
	for _, e := range c.Ledger.Entries() {
		longest = max(longest, e.Ended.Sub(e.Began))
	}
	if longest > 5500*time.Millisecond {
		t.Errorf("an answer took %s, want the limit of 5 s and little more", longest)
	}
	t.Logf("longest answer %s; %s; %s", longest.Round(time.Millisecond), settle(t, c, database), soak.Summary(c.Ledger.Entries()))
}
