//go:build soak

package soak_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/soak"
)

// The long forms of what the suite plays in small. They take the machine for
// themselves: none runs beside another.

func TestSoakKillsSQLite(t *testing.T) {
	url := providertest.SQLite(t)
	killed(t, url, 200, 8)
	wantIntegrity(t, url)
}

func TestSoakKillsPostgres(t *testing.T) { killed(t, providertest.Postgres(t), 200, 8) }

// R17: thirty-two people write to one SQLite file while its server is killed.
func TestSoakSQLiteWriters(t *testing.T) {
	url := providertest.SQLite(t)
	killed(t, url, 100, 32)
	wantIntegrity(t, url)
}

func wantIntegrity(t *testing.T, url string) {
	t.Helper()
	providertest.Query(t, url, "PRAGMA integrity_check", func(rows *sql.Rows) error {
		var verdict string
		if err := rows.Scan(&verdict); err != nil {
			return err
		}
		if verdict != "ok" {
			t.Error(verdict)
		}
		return nil
	})
}

func TestSoakRollingRestarts(t *testing.T) { rolled(t, 8, 10) }

func TestSoakDatabaseRestarts(t *testing.T) { databaseRestarts(t, 8, 10) }

func TestSoakLostCommits(t *testing.T) { commitsLost(t, 8, 2*time.Minute) }

func TestSoakSlowDatabase(t *testing.T) { slowed(t, 8, time.Minute) }

func TestSoakBackups(t *testing.T) {
	t.Run("sqlite to postgres", func(t *testing.T) { backedUp(t, providertest.SQLite(t), providertest.Postgres, 8, 10, 5*time.Second) })
	t.Run("postgres to sqlite", func(t *testing.T) { backedUp(t, providertest.Postgres(t), providertest.SQLite, 8, 10, 5*time.Second) })
}

func TestSoakKeyRotations(t *testing.T) { keysRotated(t, 8, 20) }

func TestSoakManySignIns(t *testing.T) { rushed(t, 80, true, time.Minute) }

func TestSoakSaturated(t *testing.T) { rushed(t, 80, false, time.Minute) }

// R16: an hour of steady load, or what SOAK_FOR says, with lifetimes that are short
// enough for everything to lapse many times over, after another hour, in which the first
// rows that are kept for so long lapse: those of revocations, for which the longest
// lifetime of an access token counts. Memory, goroutines, files and tables stay flat,
// and nothing fails.
func TestSoakHour(t *testing.T) {
	const before = time.Hour + 2*time.Minute
	long := time.Hour
	if text := os.Getenv("SOAK_FOR"); text != "" {
		var err error
		if long, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	url := providertest.Postgres(t)
	s := soak.Start(t, 1, url,
		"DOORSTEP_LIFETIMES__ACCESS_TOKEN=1m", "DOORSTEP_LIFETIMES__REFRESH_IDLE=2m", "DOORSTEP_LIFETIMES__REFRESH_ABSOLUTE=3m",
		"DOORSTEP_LIFETIMES__SESSION=3m", "DOORSTEP_LIFETIMES__SESSION_IDLE=2m")
	c := soak.NewCrowd(t, s, 2, soak.NewLedger(t, filepath.Join(t.TempDir(), "ledger")))
	c.Pause = 200 * time.Millisecond
	var samples []soak.Sample
	work(t, c, func() {
		sample := func(until time.Time) (all []soak.Sample) {
			for ; time.Now().Before(until); time.Sleep(30 * time.Second) {
				one := s.Sample(0, url)
				all = append(all, one)
				t.Log(one)
			}
			return all
		}
		began := time.Now()
		_ = sample(began.Add(before))
		samples = sample(began.Add(before + long))
	})
	if n := lostAnswers(c); n > 0 {
		t.Errorf("%d answers were lost", n)
	}
	for _, grown := range soak.Grown(samples) {
		t.Error(grown)
	}
	t.Log(soak.Summary(c.Ledger.Entries()))
}

// rushed has people sign in again and again while others ask for tokens. Those that are
// too many are told to come later, and when, and memory is bounded by what is hashed at
// once. If they hurry, they are back at once (R15: ten times as many as can be hashed):
// refreshes still take half a second at most. If they come when they were told to, as many
// sign in as can be hashed: tokens and introspection go on at their own pace, their p99 at
// most doubles where one core is left for them, and is a quarter of a second at most where
// there is one core in all (taskset -c 0).
func rushed(t *testing.T, people int, hurry bool, long time.Duration) {
	t.Helper()
	url := providertest.Postgres(t)
	s := soak.Start(t, 1, url, "DOORSTEP_PASSWORD__MEMORY=19456", "DOORSTEP_PASSWORD__TIME=2")
	c := soak.NewCrowd(t, s, 4, soak.NewLedger(t, filepath.Join(t.TempDir(), "ledger")))
	rush, machines := c.Others(t, people), c.Others(t, 2)
	const calm = 20 * time.Second
	from, till := time.Now().Add(calm), time.Now().Add(calm+long)
	ctx, stop := context.WithDeadline(t.Context(), till)
	defer stop()
	var most float64
	work(t, c, func() {
		var all sync.WaitGroup
		all.Go(func() { machines.AskForItself(ctx) })
		time.Sleep(time.Until(from))
		all.Go(func() { rush.SignInAgain(ctx, hurry) })
		for ; ctx.Err() == nil; time.Sleep(2 * time.Second) {
			most = max(most, s.Sample(0, url).Memory)
		}
		all.Wait()
	})
	signedIn, shed := 0, 0
	for _, e := range rush.Ledger.Entries() {
		switch {
		case e.Op == soak.SignIn && e.Outcome == soak.Done:
			signedIn++
		case e.Op == soak.SignIn && e.Outcome == soak.Unknown:
			shed++
			if !strings.HasPrefix(e.Error, "status 503, Retry-After ") {
				t.Errorf("one that was too many was told %q", e.Error)
			}
		}
	}
	if signedIn == 0 || shed == 0 {
		t.Errorf("%d signed in and %d were told to come later: nothing was saturated", signedIn, shed)
	}
	t.Logf("%d signed in, %d were told to come later; memory %.0f MiB at most", signedIn, shed, most/(1<<20))
	if most > 256<<20 {
		t.Errorf("memory grew to %.0f MiB, want at most 256", most/(1<<20))
	}
	for what, entries := range map[soak.Op][]soak.Entry{
		soak.Exchange: c.Ledger.Of(soak.Exchange), soak.Refresh: c.Ledger.Of(soak.Refresh), soak.Introspect: c.Ledger.Of(soak.Introspect),
		soak.Credentials: machines.Ledger.Of(soak.Credentials),
	} {
		before, meanwhile := soak.P99(entries, time.Time{}, from), soak.P99(entries, from, till)
		t.Logf("p99 of %s: %s before, %s meanwhile", what, before, meanwhile)
		bar := 2 * before
		switch {
		case hurry && what != soak.Refresh:
			continue
		case hurry:
			bar = 500 * time.Millisecond
		case runtime.GOMAXPROCS(0) == 1:
			bar = 250 * time.Millisecond
		}
		if before == 0 || meanwhile == 0 || meanwhile > bar {
			t.Errorf("p99 of %s is %s while too many sign in, want at most %s", what, meanwhile, bar)
		}
	}
}
