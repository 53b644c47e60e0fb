package storage_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/storage"
)

// A mail is one caller's at a time, and ends as sent or as dead.
var mailTests = map[string]func(*testing.T, fixture){
	"a mail is claimed, postponed and sent":       testMailSent,
	"a mail that is given up can be revived":      testMailDead,
	"no mail is claimed twice while it is leased": testRaceMails,
	"what is due longest is claimed first":        testMailOrder,
	"mails are listed and counted":                testMailList,
	"a restored house sends nothing old":          testMailRestored,
	"what waits for a unit is woken after it":     testThen,
}

func newMail(p *storage.Person, due storage.Time) *storage.Mail {
	return &storage.Mail{
		ID: storage.NewID(), Channel: storage.ByMail, Recipient: "ada@example.com", PersonID: p.ID, Kind: "code", Lang: "en", Sealed: []byte("sealed"),
		DueAt: due, LapsesAt: after(time.Hour), CreatedAt: now, ExpiresAt: after(24 * time.Hour),
	}
}

func (f fixture) mail(due storage.Time) *storage.Mail {
	f.t.Helper()
	m := newMail(&storage.Person{}, due)
	f.must(f.CreateMail(f.ctx, m))
	return m
}

func (f fixture) claim(at storage.Time, limit int) []storage.Mail {
	f.t.Helper()
	all, err := f.ClaimMails(f.ctx, storage.ByMail, at, storage.At(at.Add(time.Minute)), limit)
	f.must(err)
	return all
}

func (f fixture) kept(id storage.ID) *storage.Mail {
	f.t.Helper()
	m, err := f.Mail(f.ctx, id)
	f.must(err)
	return m
}

func testMailSent(t *testing.T, f fixture) {
	m := newMail(f.person("ada"), now)
	f.must(f.CreateMail(f.ctx, m))
	same(t, m, f.kept(m.ID))
	for at, want := range map[storage.Time]bool{after(-time.Microsecond): false, now: true} {
		if due, err := f.MailDue(f.ctx, storage.ByMail, at); err != nil || due != want {
			t.Errorf("due at %s: %v, %v", at, due, err)
		}
	}
	if early := f.claim(after(-time.Microsecond), 10); len(early) != 0 {
		t.Errorf("claimed early: %v", early)
	}
	claimed := f.claim(now, 10)
	want := *m
	want.Attempts, want.DueAt = 1, after(time.Minute)
	same(t, []storage.Mail{want}, claimed)

	f.must(f.PostponeMail(f.ctx, &claimed[0], after(5*time.Minute), "421 come back"))
	want.DueAt, want.Reason = after(5*time.Minute), "421 come back"
	same(t, &want, f.kept(m.ID))

	again := f.claim(after(10*time.Minute), 10)
	f.want(storage.ErrStale, f.PostponeMail(f.ctx, &claimed[0], now, "late")) // of an attempt whose lease ended
	f.want(storage.ErrStale, f.SentMail(f.ctx, &claimed[0], now, now))
	f.want(storage.ErrStale, f.BuryMail(f.ctx, &claimed[0], now, now, "late", true))
	f.must(f.SentMail(f.ctx, &again[0], after(11*time.Minute), after(2*time.Hour)))
	want.Attempts, want.DueAt, want.Reason, want.Sealed = 2, storage.Time{}, "", nil
	want.SentAt, want.ExpiresAt = after(11*time.Minute), after(2*time.Hour)
	same(t, &want, f.kept(m.ID))
	f.want(storage.ErrStale, f.SentMail(f.ctx, &again[0], now, now))
	f.want(storage.ErrStale, f.ReviveMail(f.ctx, m.ID, now))
	if late := f.claim(after(48*time.Hour), 10); len(late) != 0 {
		t.Errorf("claimed after it was sent: %v", late)
	}
}

func testMailDead(t *testing.T, f fixture) {
	kept, forgotten := f.mail(now), f.mail(now)
	for _, m := range f.claim(now, 10) {
		f.must(f.BuryMail(f.ctx, &m, after(time.Minute), after(48*time.Hour), "550 nobody", m.ID == forgotten.ID))
	}
	if got := f.kept(kept.ID); string(got.Sealed) != "sealed" || got.Reason != "550 nobody" || !got.DeadAt.Equal(after(time.Minute).Time) ||
		!got.DueAt.IsZero() || !got.ExpiresAt.Equal(after(48*time.Hour).Time) {
		t.Errorf("given up: %+v", got)
	}
	if got := f.kept(forgotten.ID); got.Sealed != nil {
		t.Errorf("of no use, and kept: %q", got.Sealed)
	}
	f.want(storage.ErrStale, f.ReviveMail(f.ctx, forgotten.ID, now)) // says nothing any more
	f.want(storage.ErrStale, f.ReviveMail(f.ctx, kept.ID, after(time.Hour)))
	f.must(f.ReviveMail(f.ctx, kept.ID, after(2*time.Minute)))
	f.want(storage.ErrStale, f.ReviveMail(f.ctx, kept.ID, after(2*time.Minute)))
	if again := f.claim(after(2*time.Minute), 10); len(again) != 1 || again[0].ID != kept.ID || !again[0].DeadAt.IsZero() {
		t.Errorf("revived: %v", again)
	}
	f.must(f.DeleteMail(f.ctx, kept.ID))
	f.want(storage.ErrNotFound, f.DeleteMail(f.ctx, kept.ID))
	_, err := f.Mail(f.ctx, kept.ID)
	f.want(storage.ErrNotFound, err)
}

func testRaceMails(t *testing.T, f fixture) {
	const mails = 40
	for range mails {
		f.mail(now)
	}
	var (
		mu   sync.Mutex
		seen = map[storage.ID]int{}
	)
	for _, err := range race(8, func(int) error {
		for range 20 {
			got, err := f.ClaimMails(f.ctx, storage.ByMail, now, after(time.Minute), 3)
			if err != nil {
				return err
			}
			mu.Lock()
			for _, m := range got {
				seen[m.ID]++
			}
			mu.Unlock()
		}
		return nil
	}) {
		f.must(err)
	}
	if len(seen) != mails {
		t.Errorf("%d of %d mails were claimed", len(seen), mails)
	}
	for id, times := range seen {
		if times != 1 {
			t.Errorf("%s was claimed %d times", id, times)
		}
	}
}

func testMailOrder(t *testing.T, f fixture) {
	third, first, second := f.mail(after(-time.Second)), f.mail(after(-time.Hour)), f.mail(after(-time.Minute))
	var got []storage.ID
	for range 3 {
		some := f.claim(now, 1)
		if len(some) != 1 {
			t.Fatalf("claimed %d, want one", len(some))
		}
		got = append(got, some[0].ID)
	}
	if want := []storage.ID{first.ID, second.ID, third.ID}; !slices.Equal(got, want) {
		t.Errorf("claimed %v, want %v", got, want)
	}
}

func testMailList(t *testing.T, f fixture) {
	var all []storage.ID
	for range 5 {
		all = append(all, f.mail(now).ID)
	}
	slices.Sort(all)
	for _, m := range f.claim(now, 5) {
		switch m.ID {
		case all[1], all[3]:
			f.must(f.BuryMail(f.ctx, &m, now, now, "550", false))
		case all[4]:
			f.must(f.SentMail(f.ctx, &m, now, now))
		}
	}
	read := func(dead bool) (ids []storage.ID) {
		p := storage.Page{Limit: 2}
		for {
			list, err := f.Mails(f.ctx, dead, p)
			f.must(err)
			for _, m := range list.Items {
				ids = append(ids, m.ID)
			}
			if list.Next == "" {
				return ids
			}
			p.After = list.Next
		}
	}
	if got := read(false); !slices.Equal(got, all) {
		t.Errorf("listed %v, want %v", got, all)
	}
	if got := read(true); !slices.Equal(got, []storage.ID{all[1], all[3]}) {
		t.Errorf("dead are %v", got)
	}
	_, err := f.Mails(f.ctx, false, storage.Page{After: "x"})
	f.want(storage.ErrCursor, err)
	q, err := f.MailQueue(f.ctx, storage.ByMail)
	f.must(err)
	if q.Waiting != 2 || q.Dead != 2 || q.Age(now.Add(time.Minute)) != time.Minute {
		t.Errorf("the queue is %+v", q)
	}
}

func testMailRestored(t *testing.T, f fixture) {
	waiting, dead := f.mail(after(time.Minute)), f.mail(now)
	for _, m := range f.claim(now, 1) {
		f.must(f.BuryMail(f.ctx, &m, now, after(time.Hour), "550", false))
	}
	to := f.restored(f.another(), f.backup().file, storage.Restore{})
	_, err := to.Mail(f.ctx, waiting.ID)
	to.want(storage.ErrNotFound, err)
	to.kept(dead.ID)
}

func testThen(t *testing.T, f fixture) {
	woken := 0
	wake := func() { woken++ }
	storage.Then(f.ctx, wake)
	if woken != 1 {
		t.Error("without a unit it has to wait")
	}
	f.must(f.Together(f.ctx, func(ctx context.Context) error {
		f.must(f.CreateMail(ctx, newMail(&storage.Person{}, now)))
		storage.Then(ctx, wake)
		if woken != 1 {
			t.Error("woken before anything was written")
		}
		return nil
	}))
	if woken != 2 {
		t.Errorf("woken %d times, want 2", woken)
	}
	twice := newMail(&storage.Person{}, now)
	f.must(f.CreateMail(f.ctx, twice))
	f.want(storage.ErrConflict, f.Together(f.ctx, func(ctx context.Context) error {
		storage.Then(ctx, wake)
		return errors.Join(f.CreateMail(ctx, twice), f.CreateEvent(ctx, event("x")))
	}))
	if woken != 2 {
		t.Error("woken for what was not written")
	}
}
