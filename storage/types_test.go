package storage_test

import (
	"errors"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/storage"
)

func TestTimeIsMicrosecondsInUTC(t *testing.T) {
	stockholm := time.FixedZone("CET", 3600)
	for _, tc := range []struct {
		in   time.Time
		want any
	}{
		{time.Time{}, nil},
		{time.Unix(0, 0), int64(0)},
		{time.Date(2026, 3, 1, 1, 0, 0, 1999, stockholm), time.Date(2026, 3, 1, 0, 0, 0, 1000, time.UTC).UnixMicro()},
		{time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC), int64(-2208988800000000)},
	} {
		at := storage.At(tc.in)
		value, err := at.Value()
		if err != nil || value != tc.want {
			t.Errorf("%v is kept as %v (%v), want %v", tc.in, value, err, tc.want)
		}
		var back storage.Time
		if err := back.Scan(value); err != nil || !back.Equal(at.Time) || back != at {
			t.Errorf("%v comes back as %v (%v)", at, back, err)
		}
	}
	var at storage.Time
	if err := at.Scan("2026-03-01"); err == nil {
		t.Error("a text was read as a time")
	}
}

// An id is a UUID in one spelling only: two spellings of one row would be two
// keys of a cache, a throttle or a signature.
func TestParseIDTakesOneSpelling(t *testing.T) {
	id := storage.NewID()
	if got, err := storage.ParseID(string(id)); err != nil || got != id {
		t.Errorf("its own id: %q, %v", got, err)
	}
	for _, s := range []string{
		"", "1", "0198C0DE-0000-7000-8000-00000000000A", "{0198c0de-0000-7000-8000-00000000000a}", "urn:uuid:0198c0de-0000-7000-8000-00000000000a",
		"0198c0de00007000800000000000000a", " 0198c0de-0000-7000-8000-00000000000a", "0198c0de-0000-7000-8000-00000000000a\x00", "1=1) OR (1=1",
	} {
		if got, err := storage.ParseID(s); !errors.Is(err, storage.ErrNotFound) || got != "" {
			t.Errorf("%q was taken as %q (%v)", s, got, err)
		}
	}
}

func TestIDsSortByTheirMaking(t *testing.T) {
	last := storage.NewID()
	for range 1000 {
		next := storage.NewID()
		if next <= last {
			t.Fatalf("%s was made after %s", next, last)
		}
		last = next
	}
}

func TestDocuments(t *testing.T) {
	var d storage.JSON[struct{ A int }]
	for _, src := range []any{`{"A":1}`, []byte(`{"A":1}`)} {
		if err := d.Scan(src); err != nil || d.V.A != 1 {
			t.Errorf("%T: %+v, %v", src, d.V, err)
		}
	}
	if err := d.Scan(nil); err != nil || d.V.A != 0 {
		t.Errorf("NULL must be the zero value, not what was there: %+v, %v", d.V, err)
	}
	for _, src := range []any{`{`, `{"A":"x"}`, 1} {
		if err := d.Scan(src); err == nil {
			t.Errorf("%v was read as a document", src)
		}
	}
	if _, err := doc("{").Value(); err == nil {
		t.Error("half a document was written")
	}
}

func TestStrings(t *testing.T) {
	for _, list := range []storage.Strings{nil, {}, {""}, {"a", `"`, "å"}} {
		value, err := list.Value()
		if err != nil {
			t.Fatal(err)
		}
		var back storage.Strings
		if err := back.Scan(value); err != nil {
			t.Fatal(err)
		}
		same(t, list, back)
	}
	list := storage.Strings{"openid", "email"}
	if !list.Has("email") || list.Has("mail") || list.Has("EMAIL") || list.Has("") {
		t.Error("Has must mean exactly")
	}
}
