package shop

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	doorstep "github.com/doorstep-id/doorstep/sdk/go"
)

const (
	holdFor         = 48 * time.Hour // how long a reserved car waits
	maxAnswer       = 1 << 20        // bytes that the shop reads of anybody's answer
	maxReservations = 20             // that a session remembers
)

// reservation is what the API answers.
type reservation struct {
	Number string    `json:"number"`
	Car    string    `json:"car"`
	Until  time.Time `json:"until"`
	Seen   seen      `json:"seen"`
}

// seen is what the access token told the API about the caller. A real API would keep
// this to itself; the demo shows it.
type seen struct {
	Subject  string    `json:"sub"`
	ClientID string    `json:"client_id"`
	Audience []string  `json:"aud"`
	Scope    []string  `json:"scope"`
	ACR      string    `json:"acr"`
	AMR      []string  `json:"amr"`
	Expiry   time.Time `json:"exp"`
}

// apiReserve serves POST /api/reservations. It knows nothing of sessions and cookies:
// the access token that Require accepted is all that it goes by.
func (s *Shop) apiReserve(w http.ResponseWriter, r *http.Request) {
	claims, _ := doorstep.FromContext(r.Context())
	var order struct {
		Car string `json:"car"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<10)).Decode(&order); err != nil {
		http.Error(w, "a JSON object with the car's id is needed", http.StatusBadRequest)
		return
	}
	if _, ok := findCar(order.Car); !ok {
		http.Error(w, "no such car", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusCreated)
	err := json.NewEncoder(w).Encode(reservation{
		Number: "FM-" + rand.Text()[:8],
		Car:    order.Car,
		Until:  s.cfg.Now().Add(holdFor),
		Seen: seen{
			Subject: claims.Subject, ClientID: claims.ClientID, Audience: claims.Audience, Scope: claims.Scope,
			ACR: claims.ACR, AMR: claims.AMR, Expiry: claims.Expiry,
		},
	})
	if err != nil {
		s.log.WarnContext(r.Context(), "shop: answer not sent", "error", err)
	}
}

// reserve serves the button: it calls the API on the visitor's behalf, over HTTP and
// with a token, as a web application calls a service that another team runs.
func (s *Shop) reserve(w http.ResponseWriter, r *http.Request) error {
	car, ok := findCar(r.PathValue("id"))
	if !ok {
		return errNoCar
	}
	sess := s.session(r)
	if sess == nil {
		http.Redirect(w, r, "/login?next="+car.Path(), http.StatusSeeOther)
		return nil
	}
	got, err := s.order(r.Context(), sess, car)
	if errors.Is(err, errEnded) {
		s.sessions.take(cookie(r, sessionCookie))
		s.setCookie(w, sessionCookie, "", 0)
		return &failure{status: http.StatusForbidden, title: "Your sign-in has ended", again: "/login?next=" + car.Path(),
			text: "You signed out elsewhere, or it has been a while. Sign in again and the car is yours to reserve."}
	}
	if err != nil {
		return &failure{status: http.StatusBadGateway, title: "The car is not reserved", again: car.Path(), cause: err,
			text: "Our reservations desk did not answer as it should. Please try again in a moment."}
	}
	http.Redirect(w, r, "/reservations/"+got.Number, http.StatusSeeOther)
	return nil
}

// order gets a token, calls the API and remembers what it answered. A token that the
// API no longer takes, for a key was withdrawn perhaps, is replaced once.
func (s *Shop) order(ctx context.Context, sess *session, car car) (reservation, error) {
	sess.mu.Lock()
	defer sess.mu.Unlock()
	for last := false; ; last = true {
		token, err := s.token(ctx, sess)
		if err != nil {
			return reservation{}, err
		}
		got, status, err := s.callAPI(ctx, token, car.ID)
		if status == http.StatusUnauthorized && !last {
			sess.apiToken = ""
			continue
		}
		if err != nil {
			return reservation{}, err
		}
		sess.reservations = append(sess.reservations, got)
		sess.reservations = sess.reservations[max(0, len(sess.reservations)-maxReservations):]
		return got, nil
	}
}

// callAPI posts one order; status is 0 if there was no answer.
func (s *Shop) callAPI(ctx context.Context, token, carID string) (got reservation, status int, err error) {
	body, err := json.Marshal(map[string]string{"car": carID})
	if err != nil {
		return got, 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.cfg.BaseURL+"/api/reservations", bytes.NewReader(body))
	if err != nil {
		return got, 0, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	res, err := s.client.Do(req)
	if err != nil {
		return got, 0, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusCreated {
		return got, res.StatusCode, fmt.Errorf("the API answered %s %s", res.Status, res.Header.Get("WWW-Authenticate"))
	}
	err = json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(&got)
	return got, res.StatusCode, err
}

// reservation serves GET /reservations/{number}, for the session that made it.
func (s *Shop) reservation(w http.ResponseWriter, r *http.Request) error {
	sess := s.session(r)
	if sess == nil {
		http.Redirect(w, r, "/login", http.StatusSeeOther)
		return nil
	}
	sess.mu.Lock()
	at := slices.IndexFunc(sess.reservations, func(x reservation) bool { return x.Number == r.PathValue("number") })
	var got reservation
	if at >= 0 {
		got = sess.reservations[at]
	}
	sess.mu.Unlock()
	car, ok := findCar(got.Car)
	if !ok {
		return &failure{status: http.StatusNotFound, title: "We do not know that reservation", text: "It is not one of yours, or it was a while ago."}
	}
	s.render(w, r, http.StatusOK, "reservation", view{Title: "Reserved: " + car.Name, Body: reservedView{
		Car: car, Number: got.Number, Until: got.Until.UTC().Format("Monday 2 January, 15:04 MST"),
		Seen: []fact{
			{"Who", got.Seen.Subject, "sub"},
			{"Through which app", got.Seen.ClientID, "client_id"},
			{"For which service", strings.Join(got.Seen.Audience, ", "), "aud"},
			{"Allowed to", strings.Join(got.Seen.Scope, ", "), "scope"},
			{"How sure", assurance(got.Seen.ACR), "acr"},
			{"Proven with", proofs(got.Seen.AMR), "amr"},
			{"Good until", got.Seen.Expiry.UTC().Format("15:04:05 MST"), "exp"},
		},
	}})
	return nil
}
