package soak_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/soak"
)

// R2: three replicas are restarted one after the other (SIGTERM) behind a proxy that
// asks for their readiness. No request fails.
func TestARollingRestartFailsNoRequest(t *testing.T) {
	t.Parallel()
	rolled(t, 4, 1)
}

func rolled(t *testing.T, people, rounds int) {
	t.Helper()
	url := providertest.Postgres(t)
	s := soak.Start(t, 3, url, "DOORSTEP_SERVER__NOTICE=1s")
	s.Watch(t.Context())
	c := soak.NewCrowd(t, s, people, soak.NewLedger(t, filepath.Join(t.TempDir(), "ledger")))
	var calm, from, till time.Time
	slowest := time.Duration(0)
	work(t, c, func() {
		calm = time.Now()
		time.Sleep(3 * time.Second)
		from = time.Now()
		for i := range 3 * rounds {
			drained, ready := s.Restart(i)
			slowest = max(slowest, drained)
			soak.Within(t, 5*time.Second, "the server is ready", func() bool { return s.Ready(i % 3) })
			time.Sleep(300 * time.Millisecond) // the proxy sees it
			t.Logf("drained in %s, ready in %s", drained.Round(time.Millisecond), ready.Round(time.Millisecond))
		}
		till = time.Now()
	})
	if slowest > 20*time.Second {
		t.Errorf("a server took %s to end", slowest)
	}
	entries := c.Ledger.Entries()
	t.Logf("p99 %s before, %s meanwhile; %s; %s", soak.P99(entries, calm, from), soak.P99(entries, from, till), settle(t, c, url), soak.Summary(entries))
}
