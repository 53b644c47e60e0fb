package soak_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/soak"
)

// R1: kill -9 under load. Nobody loses what was acknowledged, only requests under
// way fail, and a server is back within five seconds.
func TestNothingIsLostByAKill(t *testing.T) {
	t.Parallel()
	providertest.Databases(t, func(t *testing.T, url string) {
		t.Parallel()
		killed(t, url, 3, 4)
	})
}

// killed has people work while one server after the other is killed.
func killed(t *testing.T, url string, kills, people int) {
	t.Helper()
	n := 1
	if strings.HasPrefix(url, "postgres") {
		n = 3
	}
	s := soak.Start(t, n, url)
	c := soak.NewCrowd(t, s, people, soak.NewLedger(t, filepath.Join(t.TempDir(), "ledger")))
	slowest := time.Duration(0)
	work(t, c, func() {
		for i := range kills {
			time.Sleep(time.Second)
			c.Ledger.During("kill", func() time.Duration {
				slowest = max(slowest, s.Kill(i))
				return time.Second
			})
		}
		time.Sleep(time.Second)
	})
	if slowest > 5*time.Second {
		t.Errorf("a server was ready after %s", slowest)
	}
	for i := range n {
		for line := range strings.Lines(s.Log(i)) {
			if strings.Contains(line, "SQLITE_BUSY") {
				t.Errorf("somebody waited in vain for the lock: %s", line)
			}
		}
	}
	a := settle(t, c, url)
	t.Logf("%d kills of %d servers; slowest start %s; %s; %s", kills, n, slowest.Round(time.Millisecond), a, soak.Summary(c.Ledger.Entries()))
}

// work has the crowd work while faults happens.
func work(t *testing.T, c *soak.Crowd, faults func()) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Work(ctx)
	}()
	faults()
	stop()
	<-done
}

func lostAnswers(c *soak.Crowd) int {
	n := 0
	for _, e := range c.Ledger.Entries() {
		if e.Outcome == soak.Unknown {
			n++
		}
	}
	return n
}

// settle checks everything and fails the test for what is broken.
func settle(t *testing.T, c *soak.Crowd, url string) *soak.Account {
	t.Helper()
	a := soak.Tally(c.Ledger.Entries(), c.Ledger.Faults())
	a.Probe(t, c)
	a.Audit(t, c, url)
	a.Hold(t)
	return a
}
