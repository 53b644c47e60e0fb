package account

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
	"github.com/doorstep-id/doorstep/templates"
)

const (
	// lately is how far back the page looks, and activityPage how much one has.
	lately       = 90 * 24 * time.Hour
	activityPage = 20
	wrongMost    = 10      // lines of wrong tries
	paramAfter   = "after" // the number of the event that the page before ended with
)

// told are the kinds of events that people are told of, and how the page calls them;
// mine says that it may have been somebody else in the person's name.
var told = map[events.Kind]struct {
	words string
	mine  bool
}{
	events.SignInSucceeded:   {"signed_in", true},
	events.FactorAdded:       {"added", true},
	events.FactorRenamed:     {"renamed", false},
	events.FactorRemoved:     {"removed", true},
	events.FactorTrusted:     {"trusted", true},
	events.FactorStopped:     {"stopped", false},
	events.FactorLifted:      {"lifted", false},
	events.RecoveryGenerated: {"codes_made", true},
	events.RecoveryUsed:      {"code_used", true},
	events.RecoveryBegun:     {"recovery", true},
	events.AddressVerified:   {"address_verified", true},
	events.AddressRemoved:    {"address_removed", true},
	events.PasswordSet:       {"password", true},
	events.DeviceRemembered:  {"remembered", true},
	events.DeviceForgotten:   {"forgotten", false},
	events.AskingChanged:     {"asking", true},
	events.ConsentGiven:      {"app_allowed", true},
	events.ConsentWithdrawn:  {"app_removed", false},
	events.SessionEnded:      {"session_ended", false},
	events.PersonSignedOut:   {"signed_out", false},
	events.AccountDisowned:   {"disowned", false},
	events.PersonUpdated:     {"details", false},
	events.PersonCreated:     {"created", false},
}

// toldKinds are those of told, in one order: the statement is prepared and kept.
var toldKinds = slices.Sorted(maps.Keys(told))

// showActivity tells what happened to the account lately, the newest first.
func (h *Handler) showActivity(w http.ResponseWriter, r *http.Request, s *storage.SignIn) error {
	after, err := strconv.ParseInt(cmp.Or(r.URL.Query().Get(paramAfter), "0"), 10, 64)
	if err != nil || after < 0 {
		return fault.Invalid(paramAfter, "must be where a page ended")
	}
	list, err := h.Events.List(r.Context(), events.Filter{Person: s.Person.ID, Kinds: toldKinds, Since: h.Now().Add(-lately)}, after, activityPage)
	if err != nil {
		return err
	}
	page := templates.Activity{Base: h.Web.Base(r, "", s.Person.Locale), Who: web.Account(s), Later: after > 0, Back: h.Web.Path(web.PathHome)}
	if after == 0 {
		if page.Wrong, err = h.wrongTries(r.Context(), s); err != nil {
			return err
		}
	}
	if list, err = h.whole(r.Context(), s, list); err != nil {
		return err
	}
	begun := map[storage.ID]step{}
	for i := range list.Events {
		e := &list.Events[i]
		line, err := h.activity(r.Context(), s, e)
		if err != nil {
			return err
		}
		if e.Kind == events.SignInSucceeded {
			session, err := sessionOf(e)
			if err != nil {
				return err
			}
			if last, is := begun[session]; is && last.ends(e.At, line.Proofs, page.Lines[last.line].Proofs) {
				page.Lines[last.line].NotMe = line.NotMe // it was somebody else from there on
				begun[session] = step{last.line, e.At}
				continue
			}
			begun[session] = step{len(page.Lines), e.At}
		}
		page.Lines = append(page.Lines, line)
	}
	if list.Next > 0 {
		page.Earlier = h.Web.Path(web.PathActivity) + "?" + url.Values{paramAfter: {strconv.FormatInt(list.Next, 10)}}.Encode()
	}
	return h.Web.Page(w, r, http.StatusOK, page)
}

// A step is one of a sign-in: in which line of the page that is, and when it was.
type step struct {
	line int
	at   time.Time
}

// stepsWithin is how long after a step of a sign-in the next one belongs to it.
const stepsWithin = 10 * time.Minute

// ends reports whether an earlier step, at that time and by so many proofs, is of the sign-in whose
// later one this is, that stands on all: it added some.
func (s step) ends(at time.Time, some, all []string) bool {
	return s.at.Sub(at) <= stepsWithin && len(some) < len(all) && !slices.ContainsFunc(some, func(p string) bool { return !slices.Contains(all, p) })
}

// whole is a list that does not end in the midst of a sign-in of two steps.
func (h *Handler) whole(ctx context.Context, s *storage.SignIn, list events.Page) (events.Page, error) {
	n := len(list.Events)
	if n == 0 || list.Next == 0 || list.Events[n-1].Kind != events.SignInSucceeded {
		return list, nil
	}
	more, err := h.Events.List(ctx, events.Filter{Person: s.Person.ID, Kinds: toldKinds, Since: h.Now().Add(-lately)}, list.Next, 1)
	if err != nil || len(more.Events) == 0 || more.Events[0].Kind != events.SignInSucceeded {
		return list, err
	}
	last, first := &list.Events[n-1], &more.Events[0]
	one, err := sessionOf(last)
	if err != nil {
		return list, err
	}
	other, err := sessionOf(first)
	if err != nil || one != other || last.At.Sub(first.At) > stepsWithin {
		return list, err
	}
	return events.Page{Events: append(list.Events, *first), Next: more.Next}, nil
}

func sessionOf(e *events.Recorded) (storage.ID, error) {
	var data struct {
		Session storage.ID `json:"session"`
	}
	err := json.Unmarshal(e.Data, &data)
	return data.Session, err
}

// proofKinds are how the page calls what somebody signed in with, in this order.
var proofKinds = []struct{ amr, words string }{
	{policy.Password, "password"}, {policy.Hardware, "passkey"}, {policy.Software, "passkey"}, {policy.OneTime, "totp"}, {policy.SMS, "phone"},
}

func proofsOf(amr []string) (words []string) {
	for _, kind := range proofKinds {
		if slices.Contains(amr, kind.amr) && !slices.Contains(words, kind.words) {
			words = append(words, kind.words)
		}
	}
	return words
}

// wrongKinds are how the page calls what was wrong.
var wrongKinds = map[string]string{policy.Password: "password", policy.OneTime: "totp", policy.Recovery: "recovery", policy.Mail: "mail", policy.SMS: "sms"}

// wrongTries is how often somebody tried in vain to be the person, hour by hour.
func (h *Handler) wrongTries(ctx context.Context, s *storage.SignIn) ([]templates.WrongLine, error) {
	tries, err := h.Store.WrongTriesOf(ctx, s.Person.ID, storage.At(h.Now().Add(-lately)), wrongMost)
	if err != nil {
		return nil, err
	}
	lines := make([]templates.WrongLine, len(tries))
	for i, t := range tries {
		lines[i] = templates.WrongLine{
			Kind: wrongKinds[t.Method], Times: int(t.Times), From: t.Hour.Time, To: t.Hour.Add(time.Hour), Device: templates.MailDevice{Browser: t.Browser, System: t.System},
		}
	}
	return lines, nil
}

// activity says in words what an event tells.
func (h *Handler) activity(ctx context.Context, s *storage.SignIn, e *events.Recorded) (templates.ActivityLine, error) {
	var data struct {
		Session storage.ID `json:"session"`
		Method  string     `json:"method"`
		AMR     []string   `json:"amr"`
	}
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return templates.ActivityLine{}, err
	}
	name, _ := e.Personal["name"].(string)
	if address, is := e.Personal["email"].(string); is && (e.Kind == events.AddressVerified || e.Kind == events.AddressRemoved) {
		name = address
	}
	browser, _ := e.Personal[events.MemberBrowser].(string)
	system, _ := e.Personal[events.MemberSystem].(string)
	kind := told[e.Kind]
	line := templates.ActivityLine{
		ID: string(e.ID), Words: kind.words, Name: name, When: e.At, Device: templates.MailDevice{Browser: browser, System: system},
		ByPerson: e.Actor == events.ActorPerson, Proofs: proofsOf(data.AMR), Here: e.Kind == events.SignInSucceeded && data.Session == s.Session.ID,
	}
	switch data.Method {
	case policy.Hardware, policy.Software:
		line.Factor = "passkey"
	case policy.OneTime:
		line.Factor = "totp"
	case policy.SMS:
		line.Factor = "phone"
	}
	if kind.mine && line.ByPerson && !line.Here {
		line.NotMe = h.Web.Path(web.PathNotMeEvent) + "?" + url.Values{flow.ParamObject: {string(e.ID)}}.Encode()
	}
	if e.Client == "" || e.Kind == events.SignInSucceeded {
		return line, nil
	}
	line.Name = e.Client // what is left of one that was deleted
	c, err := h.client(ctx, e.Client)
	switch {
	case err == nil:
		line.Name = nameOf(c)
	case !errors.Is(err, storage.ErrNotFound):
		return line, err
	}
	return line, nil
}
