package flow

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/doorstep-id/doorstep/storage"
)

// Page is one of our own pages that only somebody who is signed in may see. Where
// it is, Config.Paths.Pages says: no address to return to ever comes from outside.
type Page string

// PageApps is that of what may use the account.
const PageApps Page = "apps"

// PageActivity is that of what happened lately, PageLanguage that of the person's language.
const (
	PageActivity Page = "activity"
	PageLanguage Page = "language"
)

// PageSetupDone is where the first operator's set-up ends.
const PageSetupDone Page = "setup-done"

// The pages where people look after their proofs.
const (
	PageSecurity   Page = "security"    // what they have
	PageSessions   Page = "sessions"    // where they are signed in
	PageFactor     Page = "factor"      // one passkey, authenticator or phone
	PageAsking     Page = "asking"      // how often they want to be asked
	PageAddPasskey Page = "add-passkey" // leads to the step, and ends at PageSecurity; so do the next
	PageAddTOTP    Page = "add-totp"
	PageAddPhone   Page = "add-phone"
	PageRecovery   Page = "recovery-codes"
	PagePassword   Page = "password"
	PageDisown     Page = "disown" // "this wasn't me": Object is the event that was not, or Link leads there
	PageReview     Page = "review" // whether one that was disowned is theirs after all
)

// PageAddresses is that of the addresses that a person is found by; PageVerify leads to
// the step that shows one to be theirs.
const (
	PageAddresses Page = "addresses"
	PageVerify    Page = "verify"
)

// PageRecover is for whoever lost their password: see [Service.Lost].
const PageRecover Page = "recover"

// freshProof is how long ago who changes proofs may have proved who they are.
const freshProof = 10 * time.Minute

// A pageRule is what a page asks of who may see it, beside being signed in.
type pageRule struct {
	fresh   bool // a fresh proof, as strong as the person has
	any     bool // with fresh: any proof will do, for whoever else may have added stronger ones
	changes bool // proofs are changed there: not where somebody else may be at work
	adds    bool // a factor is added there, or that is where people find out how
	first   bool // what is made there may be the first proof beside the password: see lacksMailbox
	does    Step // the page is no more than this step
	ends    Page // where that ends
	resets  bool // it is for whoever cannot sign in: Object is the interaction to go back to, "" for none
}

var pageRules = map[Page]pageRule{
	PageSecurity:   {adds: true},
	PageSessions:   {fresh: true, any: true},
	PageActivity:   {fresh: true, any: true},
	PageFactor:     {fresh: true, changes: true},
	PageAsking:     {fresh: true, changes: true},
	PageAddPasskey: {fresh: true, changes: true, adds: true, first: true, does: StepAddPasskey, ends: PageSecurity},
	PageAddTOTP:    {fresh: true, changes: true, adds: true, first: true, does: StepAddTOTP, ends: PageSecurity},
	PageAddPhone:   {fresh: true, changes: true, adds: true, first: true, does: StepPhone, ends: PageSecurity},
	PageAddresses:  {fresh: true, changes: true},
	PageVerify:     {fresh: true, changes: true, does: StepVerify, ends: PageAddresses},
	PageRecover:    {resets: true},
	PageRecovery:   {fresh: true, changes: true, first: true, does: StepRecoveryCodes, ends: PageSecurity},
	PagePassword:   {fresh: true, changes: true, does: StepNewPassword, ends: PageSecurity},
	PageDisown:     {fresh: true, changes: true, does: StepDisown, ends: PageSecurity},
	PageReview:     {fresh: true, changes: true},
}

// Visit answers whether whoever is at this browser may see a page of ours, as
// [Service.Begin] does for a client: at StepDone they may, at a step that asks
// they go to its Path and come back to the page from there.
// object is which one of its kind a page is about, "" where there is but one.
func (s *Service) Visit(ctx context.Context, page Page, object storage.ID, b Browser) (Answer, error) {
	return s.Begin(ctx, Request{Page: page, Object: object}, b)
}

// asks returns who asks, and in which kind of interaction: a client, or nil for a
// page of ours.
func (s *Service) asks(ctx context.Context, r Request) (client *storage.Client, kind string, err error) {
	if r.Page == "" {
		client, err = s.clients.Get(ctx, r.ClientID)
		return client, kindAuthorize, err
	}
	if s.cfg.Paths.Pages[r.Page] == "" {
		return nil, "", fmt.Errorf("page %q is none of ours", r.Page)
	}
	return nil, kindPage, nil
}

// pagePath is where a request for a page of ours ends. One that was refused ends
// there as well: the page asks again, and says so.
func (s *Service) pagePath(a Answer) string {
	if pageRules[a.Request.Page].resets {
		return s.recoveredPath(a)
	}
	if a.Request.Page == PageDisown && a.Step == StepRefuse { // nothing that may be somebody else's is asked for
		how := ParamRefused
		if a.Progress.Cancelled {
			how = ParamStopped
		}
		return s.cfg.Paths.NotMe + "?" + how
	}
	ends := pageRules[a.Request.Page].ends
	if a.Progress.Cancelled && ends == "" {
		return s.cfg.Paths.Home
	}
	path := s.cfg.Paths.Pages[cmp.Or(ends, a.Request.Page)]
	switch {
	case a.Progress.Done:
		path += "?" + ParamDone
	case a.Step == StepRefuse && ends != "" && !a.Progress.Cancelled: // or it would end there without a word
		path += "?" + ParamRefused
	case a.Request.Object != "" && ends == "":
		path += "?" + url.Values{ParamObject: {string(a.Request.Object)}}.Encode()
	}
	return path
}

// Parameters of our own pages: which one it is about, and that something was just
// changed, or could not be. What, no address says: anybody could have written it.
const (
	ParamObject  = "id"
	ParamDone    = "done"
	ParamRefused = "refused"
	ParamStopped = "stopped" // by the person, on the way
)
