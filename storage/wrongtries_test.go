package storage_test

import (
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/storage"
)

var wrongTryTests = map[string]func(*testing.T, fixture){
	"wrong tries are summed by the hour":    testWrongTries,
	"of 50 wrong tries at once all are one": testRaceWrongTries,
}

func testWrongTries(t *testing.T, f fixture) {
	ada, nobody := f.person("ada"), storage.NobodyID(hash("nobody@example.com"))
	try := func(p storage.ID, method, browser string, at storage.Time) {
		t.Helper()
		f.must(f.CountWrongTry(f.ctx, storage.WrongTry{PersonID: p, Method: method, Browser: browser, System: "Linux", ExpiresAt: after(time.Hour)}, at.Time))
	}
	read := func(p storage.ID, since storage.Time, most int) (counts []string) {
		t.Helper()
		tries, err := f.WrongTriesOf(f.ctx, p, since, most)
		f.must(err)
		for _, w := range tries {
			counts = append(counts, w.Hour.Format("15:04 ")+w.Method+" "+w.Browser+" "+time.Duration(w.Times).String())
		}
		return counts
	}
	ten := storage.At(now.Truncate(time.Hour))
	for _, past := range []time.Duration{0, time.Minute, time.Hour - time.Microsecond, time.Hour} {
		try(ada.ID, "pwd", "Firefox", storage.At(ten.Add(past)))
	}
	try(ada.ID, "otp", "Firefox", ten)
	try(ada.ID, "pwd", "", ten)
	try(nobody, "pwd", "Firefox", ten)
	try(nobody, "pwd", "Firefox", ten)
	first, second := ten.Format("15:04 "), ten.Add(time.Hour).Format("15:04 ")
	all := []string{second + "pwd Firefox 1ns", first + "pwd Firefox 3ns", first + "otp Firefox 1ns", first + "pwd  1ns"}
	same(t, all, read(ada.ID, ten, 10))
	same(t, all[:2], read(ada.ID, ten, 2))
	same(t, all[:1], read(ada.ID, storage.At(ten.Add(time.Microsecond)), 10))
	same(t, []string{first + "pwd Firefox 2ns"}, read(nobody, ten, 10))
}

func testRaceWrongTries(t *testing.T, f fixture) {
	ada := f.person("ada")
	for _, err := range race(racers, func(int) error {
		return f.CountWrongTry(f.ctx, storage.WrongTry{PersonID: ada.ID, Method: "pwd", ExpiresAt: after(time.Hour)}, now.Time)
	}) {
		f.must(err)
	}
	tries, err := f.WrongTriesOf(f.ctx, ada.ID, storage.At(now.Add(-time.Hour)), 10)
	f.must(err)
	if len(tries) != 1 || tries[0].Times != racers {
		t.Errorf("%+v, want one row of %d", tries, racers)
	}
}
