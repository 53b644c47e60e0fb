package soak_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/soak"
)

// R12: a backup that is made under load is restored elsewhere, on the other kind of
// database too. There is in it what was acknowledged before it began, whole, and
// nothing that began after it.
func TestABackupUnderLoadIsRestored(t *testing.T) {
	t.Parallel()
	t.Run("sqlite to postgres", func(t *testing.T) {
		t.Parallel()
		backedUp(t, providertest.SQLite(t), providertest.Postgres, 3, 1, 2*time.Second)
	})
	t.Run("postgres to sqlite", func(t *testing.T) {
		t.Parallel()
		backedUp(t, providertest.Postgres(t), providertest.SQLite, 3, 1, 2*time.Second)
	})
}

// backedUp has so many backups made while people work, with so long before and after
// each, and each restored to a database of its own.
func backedUp(t *testing.T, database string, elsewhere func(testing.TB) string, people, backups int, long time.Duration) {
	t.Helper()
	s := soak.Start(t, 1, database)
	c := soak.NewCrowd(t, s, people, soak.NewLedger(t, filepath.Join(t.TempDir(), "ledger")))
	type backup struct {
		path       string
		from, till time.Time
	}
	var all []backup
	work(t, c, func() {
		for i := range backups {
			time.Sleep(long)
			one := backup{path: filepath.Join(t.TempDir(), fmt.Sprint(i)), from: time.Now()}
			s.Command("backup", one.path)
			one.till = time.Now()
			all = append(all, one)
		}
		time.Sleep(long)
	})
	if n := lostAnswers(c); n > 0 {
		t.Errorf("%d answers were lost", n)
	}
	for _, one := range all {
		empty := elsewhere(t)
		s.Move(empty)
		other := "DOORSTEP_KEYS__KEK=" + strings.Repeat("A", 43) + "="
		if said := s.Refused([]string{other}, "restore", one.path); !strings.Contains(said, "key-encryption key") {
			t.Errorf("with another key-encryption key it says %s", said)
		}
		s.Command("restore", one.path)
		s.Command("events", "verify")
		s.Add(soak.Binary(t))
		a := soak.TallyCopy(c.Ledger.Entries(), one.from, one.till)
		a.Probe(t, c)
		a.Audit(t, c, empty)
		a.Hold(t)
		t.Logf("a backup in %s: %s", one.till.Sub(one.from).Round(time.Millisecond), a)
	}
}
