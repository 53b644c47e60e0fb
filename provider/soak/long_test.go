//go:build soak

package soak_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
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

func TestSoakManySignIns(t *testing.T) { rushed(t, 80, time.Minute) }

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

// R15: ten times as many sign-ins as passwords can be hashed. Those that are too
// many are told to come later, and refreshes go on at their own pace.
func rushed(t *testing.T, people int, long time.Duration) {
	t.Helper()
	url := providertest.Postgres(t)
	s := soak.Start(t, 1, url, "DOORSTEP_PASSWORD__MEMORY=19456", "DOORSTEP_PASSWORD__TIME=2")
	c := soak.NewCrowd(t, s, 4, soak.NewLedger(t, filepath.Join(t.TempDir(), "ledger")))
	rush := c.Others(t, people)
	var from, till time.Time
	work(t, c, func() {
		time.Sleep(5 * time.Second)
		from = time.Now()
		ctx, stop := context.WithTimeout(t.Context(), long)
		defer stop()
		rush.SignInAgain(ctx)
		till = time.Now()
	})
	signedIn, shed := 0, 0
	for _, e := range rush.Ledger.Entries() {
		switch {
		case e.Op == soak.SignIn && e.Outcome == soak.Done:
			signedIn++
		case e.Op == soak.SignIn && e.Outcome == soak.Unknown:
			shed++
		}
	}
	refreshes := c.Ledger.Of(soak.Refresh)
	calm, busy := soak.P99(refreshes, time.Time{}, from), soak.P99(refreshes, from, till)
	if busy > 500*time.Millisecond {
		t.Errorf("p99 of refreshes is %s, want at most 500 ms", busy)
	}
	t.Logf("%d signed in, %d were told to come later; p99 of refreshes %s before, %s meanwhile; %s", signedIn, shed, calm, busy, s.Sample(0, url))
}
