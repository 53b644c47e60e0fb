//go:build soak

package soak_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/soak"
	"github.com/doorstep-id/doorstep/storage"
)

// seeds has n people, each with a session, a grant, a consent, a device and an
// event. They never sign in: they are what everybody else's rows have to be found
// between.
var seeds = []string{
	`CREATE TEMP TABLE seed AS SELECT i, md5('person ' || i)::uuid AS person, md5('session ' || i)::uuid AS session, md5('grant ' || i)::uuid AS grant_id,
		(extract(epoch FROM now()) * 1000000)::bigint AS at, (extract(epoch FROM now()) * 1000000)::bigint + 7776000000000 AS later FROM generate_series(1, %d) i`,
	`INSERT INTO persons (id, sub, name, locale, claims, created_at, updated_at) SELECT person, md5('sub ' || i), 'Somebody ' || i, '', '{}', at, at FROM seed`,
	`INSERT INTO identifiers (kind, value, person_id, display, verified_at, created_at) SELECT 'email', 's' || i || '@example.net', person, 's' || i || '@example.net', at, at FROM seed`,
	`INSERT INTO passwords (person_id, hash, changed_at) SELECT person, '$argon2id$v=19$m=64,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA', at FROM seed`,
	`INSERT INTO sessions (id, secret_hash, person_id, evidence, created_at, seen_at, expires_at) SELECT session, sha256(('session ' || i)::bytea), person, '[]', at, at, later FROM seed`,
	`INSERT INTO devices (id, person_id, created_at, seen_at, expires_at) SELECT md5('device ' || i)::uuid, person, at, at, later FROM seed`,
	`INSERT INTO grants (id, client_id, person_id, session_id, sub, sid, scopes, resources, nonce, acr, amr, auth_time, code_hash, code_expires_at, code_used_at,
		redirect_uri, code_challenge, offline, refresh_hash, refresh_gen, rotated_at, idle_expires_at, expires_at, revoked_why, created_at)
		SELECT grant_id, 'web', person, session, md5('sub ' || i), md5('sid ' || i), '["openid"]', '[]', '', 'aal1', '["pwd"]', at, sha256(('code ' || i)::bytea), at, NULL,
		'', '', false, sha256(('refresh ' || i)::bytea), 1, at, later, later, '', at FROM seed`,
	`INSERT INTO session_clients (session_id, client_id, sub, sid, created_at) SELECT session, 'web', md5('sub ' || i), md5('sid ' || i), at FROM seed`,
	`INSERT INTO consents (person_id, client_id, scopes, resources, created_at, updated_at) SELECT person, 'web', '["openid"]', '[]', at, at FROM seed`,
	`INSERT INTO events (id, kind, actor, person_id, client_id, request_id, document, created_at)
		SELECT md5('event ' || i)::uuid, 'grant.made', 'person', person, 'web', 'seed', jsonb_build_object('grant', grant_id), at FROM seed`,
	`DROP TABLE seed`,
	`ANALYZE`,
}

func seed(t *testing.T, database string, n int) {
	t.Helper()
	began := time.Now()
	statements := slices.Clone(seeds)
	statements[0] = fmt.Sprintf(statements[0], n)
	providertest.MeddleInOne(t, database, statements...)
	t.Logf("%d people in %s", n, time.Since(began).Round(time.Second))
}

// chained says whether no event waits for its number.
func chained(t *testing.T, database string) (all bool) {
	t.Helper()
	providertest.Query(t, database, "SELECT NOT EXISTS (SELECT 1 FROM events WHERE number IS NULL)", func(rows *sql.Rows) error { return rows.Scan(&all) })
	return all
}

// million is how many there are, unless SOAK_PEOPLE says otherwise.
func million(t *testing.T) int {
	t.Helper()
	text := os.Getenv("SOAK_PEOPLE")
	if text == "" {
		return 1_000_000
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// The cost of a flow does not grow with how many people, grants and events there
// are: at a million it is at most 1.3 times that at a thousand. Both are asked in
// turns, by the same few people, so that the machine's moods are shared.
func TestSoakCostDoesNotGrow(t *testing.T) {
	type side struct {
		people int
		crowd  *soak.Crowd
		rounds []map[soak.Op]time.Duration
	}
	sides := []*side{{people: 1000}, {people: million(t)}}
	pg := providertest.OwnPostgres(t)
	for _, s := range sides {
		database := pg.Database()
		seed(t, database, s.people)
		servers := soak.Start(t, 1, database)
		took := soak.Within(t, 20*time.Minute, "the events of everybody are chained", func() bool { return chained(t, database) })
		t.Logf("their events are chained after %s", took.Round(time.Second))
		s.crowd = soak.NewCrowd(t, servers, 2, soak.NewLedger(t, filepath.Join(t.TempDir(), "ledger")))
	}
	const rounds = 5
	for range rounds {
		for _, s := range sides {
			from := time.Now()
			ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
			s.crowd.Work(ctx)
			stop()
			medians := map[soak.Op]time.Duration{}
			for _, op := range []soak.Op{soak.SignIn, soak.Exchange, soak.Refresh, soak.Introspect, soak.Revoke, soak.SignOut} {
				medians[op] = soak.Percentile(s.crowd.Ledger.Of(op), from, time.Now(), 50)
			}
			s.rounds = append(s.rounds, medians)
		}
	}
	for _, op := range []soak.Op{soak.Exchange, soak.Refresh, soak.Introspect, soak.Revoke, soak.SignIn, soak.SignOut} {
		median := func(s *side) time.Duration {
			var of []time.Duration
			for _, round := range s.rounds {
				of = append(of, round[op])
			}
			slices.Sort(of)
			return of[len(of)/2]
		}
		few, many := median(sides[0]), median(sides[1])
		ratio := float64(many) / float64(few)
		t.Logf("%-10s %8s at %d people, %8s at %d: %.2f", op, few, sides[0].people, many, sides[1].people, ratio)
		if ratio > 1.3 {
			t.Errorf("%s costs %.2f times as much with %d people", op, ratio, sides[1].people)
		}
	}
}

// R11: version N-1 serves while the schema of a million people is brought up, by two
// migrators at once of which one is killed midway; then N and N-1 serve together; then
// N goes and the schema goes back. No request fails.
func TestSoakMigration(t *testing.T) {
	pg := providertest.OwnPostgres(t)
	database := pg.Database()
	before, now := soak.Before(t), soak.Binary(t)
	seed(t, database, million(t))
	s := soak.Prepare(t, database, "DOORSTEP_SERVER__NOTICE=1s")
	c := soak.NewCrowd(t, s, 6, soak.NewLedger(t, filepath.Join(t.TempDir(), "ledger")))
	store, err := storage.Open(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	timed := func(what string, do func()) {
		began := time.Now()
		do()
		t.Logf("%s: %s", what, time.Since(began).Round(time.Millisecond))
	}
	oldest := newest(t, s.CommandOf(before, "migrate", "status", "-o", "json"))
	down := func() {
		for newestApplied(t, store) > oldest {
			if _, err := store.MigrateDown(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if newestApplied(t, store) <= oldest {
		t.Fatalf("version N-1 knows step %d, and there is none after it", oldest)
	}
	timed("down, nobody there", down)
	old := []int{s.Add(before), s.Add(before)}
	s.Watch(t.Context())
	work(t, c, func() {
		time.Sleep(3 * time.Second)
		killed := exec.Command(now, "migrate", "up")
		killed.Env = s.Env()
		if err := killed.Start(); err != nil {
			t.Error(err)
		}
		time.Sleep(300 * time.Millisecond)
		_ = killed.Process.Kill()
		_ = killed.Wait()
		timed("up, by two at once", func() {
			var both sync.WaitGroup
			for range 2 {
				both.Go(func() { s.Command("migrate", "up") })
			}
			both.Wait()
		})
		time.Sleep(3 * time.Second)
		fresh := []int{s.Add(now), s.Add(now)}
		time.Sleep(5 * time.Second)
		for _, i := range old {
			s.Remove(i)
		}
		time.Sleep(3 * time.Second)
		old = []int{s.Add(before)}
		time.Sleep(3 * time.Second)
		for _, i := range fresh {
			s.Remove(i)
		}
		timed("down, version N-1 serves", down)
		time.Sleep(3 * time.Second)
	})
	if n := lostAnswers(c); n > 0 {
		t.Errorf("%d answers were lost", n)
	}
	if _, err := store.Migrate(t.Context()); err != nil {
		t.Error(err)
	}
	s.Forget()
	s.Add(now)
	t.Logf("%s; %s", settle(t, c, database), soak.Summary(c.Ledger.Entries()))
}

// newest is the last step that a binary knows.
func newest(t *testing.T, status string) int64 {
	t.Helper()
	var said struct{ Steps []struct{ Version int64 } }
	if err := json.Unmarshal([]byte(status), &said); err != nil {
		t.Fatal(err)
	}
	return said.Steps[len(said.Steps)-1].Version
}

// newestApplied is the last step that the database has.
func newestApplied(t *testing.T, store *storage.Store) int64 {
	t.Helper()
	steps, err := store.Migrations(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	last := int64(0)
	for _, step := range steps {
		if !step.Applied.IsZero() {
			last = step.Version
		}
	}
	return last
}
