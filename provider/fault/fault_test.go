package fault

import (
	"errors"
	"testing"
	"time"
)

func TestTheCauseIsForTheLogOnly(t *testing.T) {
	cause := errors.New("disk on fire")
	err := Unavailable(time.Second, cause)
	if got, want := err.Shown(), "not available at the moment"; got != want {
		t.Errorf("shown %q, want %q", got, want)
	}
	if got, want := err.Error(), "not available at the moment (disk on fire)"; got != want {
		t.Errorf("logged %q, want %q", got, want)
	}
	if !errors.Is(err, cause) {
		t.Error("the cause is not found in its fault")
	}
}

func TestJoinShowsEveryFault(t *testing.T) {
	if err := Join(); err != nil {
		t.Errorf("no faults: %v, want nil", err)
	}
	a, b := Invalid("scope", "is unknown"), Invalid("redirect_uris", "must be https")
	if err := Join(a); !errors.Is(err, a) || All(err)[0] != a {
		t.Errorf("one fault: %v, want it as it is", err)
	}
	err := Join(a, b)
	var one *Error
	if !errors.As(err, &one) || one.Kind != KindInvalid || one.Field != "" {
		t.Fatalf("two faults: %#v, want one of kind invalid about the whole request", err)
	}
	if got, want := one.Shown(), "scope: is unknown; redirect_uris: must be https"; got != want {
		t.Errorf("shown %q, want %q", got, want)
	}
	if all := All(err); len(all) != 2 || all[0] != a || all[1] != b {
		t.Errorf("All = %v, want both", all)
	}
	if all := All(a); len(all) != 1 || all[0] != a {
		t.Errorf("All of one = %v, want it", all)
	}
	if all := All(errors.New("other")); all != nil {
		t.Errorf("All of another error = %v, want none", all)
	}
}

func TestEveryKindIsItsStatus(t *testing.T) {
	for _, tc := range []struct {
		err    *Error
		status int
		code   string
	}{
		{Invalid("f", "m"), 400, "invalid"},
		{NotFound("client"), 404, "not_found"},
		{Conflict("f", "m"), 409, "conflict"},
		{TooLarge("f", "m"), 413, "too_large"},
		{TooMany(time.Second), 429, "too_many"},
		{Unavailable(time.Second, nil), 503, "unavailable"},
	} {
		if tc.err.Kind.Status() != tc.status || tc.err.Code != tc.code {
			t.Errorf("%v: %d %s, want %d %s", tc.err, tc.err.Kind.Status(), tc.err.Code, tc.status, tc.code)
		}
	}
}
