package oidc

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	draws "math/rand/v2"
	"net/url"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/provider/outbound"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

// TypLogoutToken is the JWT type of logout tokens (Back-Channel Logout section 2.4).
const TypLogoutToken = "logout+jwt" //nolint:gosec // a type, no credential

// logoutEvent is what a logout token tells (Back-Channel Logout section 2.4).
const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

const (
	logoutTokenLife = 2 * time.Minute // section 2.4: two minutes at most
	// logoutWait is how long whoever signs out waits for clients to be told: with all
	// else that a request does it stays within two seconds.
	logoutWait = 1500 * time.Millisecond
	// logoutLease is how long one attempt may take: outbound's limit, and writing down what came of it.
	logoutLease = 10 * time.Second
	// A failed attempt is repeated after firstPause, then after twice as long, up to
	// longestPause.
	firstPause, longestPause = 2 * time.Second, time.Hour
	// How often to look for what is due, when little is, much is, and the store fails.
	lookIdle, lookBusy, lookBroken = time.Second, 50 * time.Millisecond, 5 * time.Second
	// How many attempts go on at once in this process: of one client, and of all. A
	// client whose last attempt failed gets one, so that those that are down, slow or
	// both keep nobody from being told.
	logoutsEach, logoutsAll = 8, 256
)

// LogoutDeps is what clients are told with.
type LogoutDeps struct {
	Issuer   string
	Store    *storage.Store
	Keys     *keys.Service
	Clients  *clients.Service
	Events   *events.Service
	Outbound *outbound.Client
	Metrics  prometheus.Registerer
	Log      *slog.Logger
	Now      func() time.Time
	Hold     func() bool // nothing that is due is told now: the clock may be wrong, by which it lapses
}

// Logouts tells clients that sessions ended (OpenID Connect Back-Channel Logout
// 1.0). What is to be told are rows, which storage writes together with the end
// of the session, whoever ended it. The process that did tells at once; what
// fails, or died with its process, is due again later, on any replica, for a day.
// An attempt is claimed by one conditional statement, and its token is signed for
// it alone.
//
// A client may be told twice, when its answer is lost; it is never told by a
// token that another attempt sent.
type Logouts struct {
	LogoutDeps
	told *prometheus.CounterVec
	due  prometheus.Gauge

	mu      sync.Mutex
	inHand  map[string]int  // attempts going on, by client
	total   int             // and of all
	idle    chan struct{}   // closed when none goes on; nil while none waits for that
	failing map[string]bool // clients whose last attempt failed
}

// NewLogouts returns the teller of logouts.
func NewLogouts(d LogoutDeps) (*Logouts, error) {
	l := &Logouts{
		LogoutDeps: d, inHand: map[string]int{}, failing: map[string]bool{},
		told: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "doorstep_backchannel_logouts_total", Help: "Attempts to tell a client that a session ended, by outcome.",
		}, []string{"outcome"}),
		due: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "doorstep_backchannel_logouts_due", Help: "Notices of a session's end that were due when this process last looked: at most 256, and 8 a client.",
		}),
	}
	for _, o := range []outcome{logoutTold, logoutFailed, logoutGivenUp, logoutDropped} {
		l.told.WithLabelValues(string(o))
	}
	return l, errors.Join(d.Metrics.Register(l.told), d.Metrics.Register(l.due))
}

// outcome is what came of an attempt.
type outcome string

const (
	logoutTold    outcome = "told"
	logoutFailed  outcome = "failed"   // and will be repeated
	logoutGivenUp outcome = "given_up" // after a day; the event says so
	logoutDropped outcome = "dropped"  // the client is gone, or wants to hear no more
)

// Tell tells the clients of a session that just ended, all at once, and returns
// when they are told, and at the latest after logoutWait: what has not come to
// an end by then goes on without the caller. It has no error: what it cannot do
// now is due later.
func (l *Logouts) Tell(ctx context.Context, session storage.ID) {
	limit, cancel := context.WithTimeout(ctx, logoutWait)
	defer cancel()
	notices, err := l.Store.LogoutNotices(limit, session)
	if err != nil {
		id, _ := web.Origin(ctx)
		l.Log.Error("back-channel logout", slog.String("request_id", id), slog.Any("error", err))
		return
	}
	ended := make(chan struct{}, len(notices))
	going := 0
	for i := range notices {
		if l.begin(ctx, &notices[i], func() { ended <- struct{}{} }) {
			going++
		}
	}
	for range going {
		select {
		case <-ended:
		case <-limit.Done():
			return
		}
	}
}

// Run tells what is due until ctx ends, and leaves what goes on to Wait: requests
// that are still served begin attempts too.
func (l *Logouts) Run(ctx context.Context) {
	look := time.NewTimer(0)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		busy, err := l.TellDue(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			l.Log.Error("back-channel logout", slog.Any("error", err))
			look.Reset(lookBroken)
		case busy:
			look.Reset(lookBusy)
		default:
			look.Reset(lookIdle)
		}
	}
}

// TellDue begins an attempt for what is due now, as far as there is room, and
// does not wait for it. busy says that there is more than was begun.
func (l *Logouts) TellDue(ctx context.Context) (busy bool, err error) {
	if l.Hold() {
		return false, nil
	}
	limit, cancel := context.WithTimeout(ctx, logoutLease)
	defer cancel()
	now := storage.At(l.Now())
	if err := l.Store.NoticeLateClients(limit, now, logoutsAll); err != nil {
		return false, err
	}
	due, err := l.Store.DueLogoutNotices(limit, now, logoutsEach, logoutsAll)
	if err != nil {
		return false, err
	}
	l.due.Set(float64(len(due)))
	begun := 0
	for i := range due {
		if l.begin(ctx, &due[i], func() {}) {
			begun++
		}
	}
	return begun > 0 && len(due) >= logoutsEach, nil
}

// Wait returns when no attempt goes on. Others may begin meanwhile.
func (l *Logouts) Wait() {
	l.mu.Lock()
	if l.total == 0 {
		l.mu.Unlock()
		return
	}
	if l.idle == nil {
		l.idle = make(chan struct{})
	}
	idle := l.idle
	l.mu.Unlock()
	<-idle
}

// begin makes an attempt beside the caller, if there is room for one, and calls
// ended after it.
func (l *Logouts) begin(ctx context.Context, n *storage.LogoutNotice, ended func()) bool {
	if !l.take(n.ClientID) {
		return false
	}
	// Neither the end of a request nor that of the server cuts it short.
	ctx = storage.WithoutUnit(context.WithoutCancel(ctx))
	go func() {
		defer ended()
		ctx, cancel := context.WithTimeout(ctx, logoutLease)
		defer cancel()
		came, err := l.attempt(ctx, n)
		if came != "" {
			l.told.WithLabelValues(string(came)).Inc()
		}
		if err != nil {
			id, _ := web.Origin(ctx) // of the request that ended the session, if one did
			l.Log.Warn("back-channel logout", slog.String("request_id", id), slog.String("client_id", n.ClientID), slog.String("outcome", string(came)),
				slog.Int64("attempt", n.Attempts), slog.Any("error", err))
		}
		l.release(n.ClientID, came)
	}()
	return true
}

func (l *Logouts) take(client string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	room := logoutsEach
	if l.failing[client] {
		room = 1
	}
	if l.inHand[client] >= room || l.total >= logoutsAll {
		return false
	}
	l.inHand[client]++
	l.total++
	return true
}

func (l *Logouts) release(client string, came outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total--
	if l.inHand[client]--; l.inHand[client] == 0 {
		delete(l.inHand, client)
	}
	switch came {
	case logoutFailed, logoutGivenUp:
		l.failing[client] = true
	case logoutTold, logoutDropped:
		delete(l.failing, client)
	}
	if l.total == 0 && l.idle != nil {
		close(l.idle)
		l.idle = nil
	}
}

// attempt claims a notice, tells its client and writes down what came of it:
// nothing, if somebody else has it or the store does not answer. The error is
// for the log.
func (l *Logouts) attempt(ctx context.Context, n *storage.LogoutNotice) (outcome, error) {
	client, err := l.Clients.Get(ctx, n.ClientID)
	if errors.Is(err, storage.ErrNotFound) {
		client, err = l.Clients.Show(ctx, n.ClientID) // it may be disabled
	}
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return "", err
	}
	if err := l.Store.ClaimLogoutNotice(ctx, n, storage.At(l.Now().Add(logoutLease))); err != nil {
		return "", quiet(err)
	}
	if client == nil || client.Metadata.V.BackchannelLogoutURI == "" {
		return logoutDropped, quiet(l.Store.EndLogoutNotice(ctx, n))
	}
	failure := l.send(ctx, client, n)
	// The store is told although the client took all of the time that there was.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), logoutLease)
	defer cancel()
	if failure == nil {
		return logoutTold, quiet(l.Store.EndLogoutNotice(ctx, n))
	}
	due := storage.At(l.Now().Add(pause(n.Attempts)))
	if due.Before(n.ExpiresAt.Time) {
		return logoutFailed, errors.Join(failure, quiet(l.Store.PostponeLogoutNotice(ctx, n, due)))
	}
	return logoutGivenUp, errors.Join(failure, quiet(l.giveUp(ctx, n)))
}

// quiet is err, unless it says that somebody else was quicker.
func quiet(err error) error {
	if errors.Is(err, storage.ErrStale) {
		return nil
	}
	return err
}

// giveUp removes a notice, with the event.
func (l *Logouts) giveUp(ctx context.Context, n *storage.LogoutNotice) error {
	return l.Store.Together(ctx, func(ctx context.Context) error {
		if err := l.Store.EndLogoutNotice(ctx, n); err != nil {
			return err
		}
		return l.Events.Record(ctx, events.Event{
			Kind: events.LogoutUntold, Outcome: events.Failure, Actor: events.ActorSystem, Client: n.ClientID,
			Data: map[string]any{"session": n.SessionID, "attempts": n.Attempts},
		})
	})
}

// pause is how long to wait after so many attempts: twice as long each time, and
// between half and all of that, so that those that failed together do not come
// back together.
func pause(attempts int64) time.Duration {
	longest := longestPause
	if attempts < 20 { // more would overflow
		longest = min(firstPause<<(attempts-1), longestPause)
	}
	return longest - draws.N(longest/2) //nolint:gosec // a draw, no secret
}

// send makes one attempt (Back-Channel Logout section 2.5). Any status of success
// counts, as section 2.8 has 200 and knows of servers that say 204; all others,
// also the 400 of a client that could not do it, do not. What the client says
// beside is not read: it may be anything.
//
// A client that is disabled is not sent anything; it is told if it is enabled in time.
func (l *Logouts) send(ctx context.Context, client *storage.Client, n *storage.LogoutNotice) error {
	if !client.DisabledAt.IsZero() {
		return errors.New("the client is disabled")
	}
	token, err := l.token(ctx, client, n)
	if err != nil {
		return err
	}
	answer, err := l.Outbound.PostForm(ctx, outbound.Request{
		URL:      client.Metadata.V.BackchannelLogoutURI,
		Operator: client.RegisteredBy == storage.RegisteredByOperator, Blind: true,
	}, url.Values{"logout_token": {token}})
	if err != nil {
		return err
	}
	if answer.Status < 200 || answer.Status > 299 {
		return fmt.Errorf("the client answered %d", answer.Status)
	}
	return nil
}

// logoutClaims is the payload of a logout token (Back-Channel Logout section
// 2.4). It never has a nonce, so that it is never taken for an ID token.
type logoutClaims struct {
	Issuer   string              `json:"iss"`
	Subject  string              `json:"sub"`
	Audience string              `json:"aud"`
	IssuedAt int64               `json:"iat"`
	Expiry   int64               `json:"exp"`
	ID       string              `json:"jti"`
	Events   map[string]struct{} `json:"events"`
	Session  string              `json:"sid"`
}

// token signs what one attempt says, as the client's ID tokens are signed (section 2.4).
func (l *Logouts) token(ctx context.Context, client *storage.Client, n *storage.LogoutNotice) (string, error) {
	now := l.Now()
	payload, err := json.Marshal(logoutClaims{
		Issuer: l.Issuer, Subject: n.Sub, Audience: client.ID, IssuedAt: now.Unix(), Expiry: now.Add(logoutTokenLife).Unix(),
		ID: rand.Text(), Events: map[string]struct{}{logoutEvent: {}}, Session: n.Sid,
	})
	if err != nil {
		return "", fmt.Errorf("encode logout token: %w", err)
	}
	return l.Keys.Sign(ctx, client.Metadata.V.IDTokenSignedResponseAlg, TypLogoutToken, payload)
}
