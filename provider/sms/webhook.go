package sms

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/doorstep-id/doorstep/provider/mail"
	"github.com/doorstep-id/doorstep/provider/outbound"
)

// Webhook is a gateway of an operator's own: it takes each message as JSON, signed as Standard
// Webhooks has it. It answers 2xx for what it took, and 422 for what it never will.
type Webhook struct {
	URL    string
	Secret []byte // of the signature; see [ParseSecret]
}

// Bounds of a secret, in bytes (Standard Webhooks 1.0.0, symmetric keys).
const minSecret, maxSecret = 24, 64

// ParseSecret reads a secret as Standard Webhooks writes it: base64, which whsec_ may stand before.
func ParseSecret(text string) ([]byte, error) {
	secret, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, "whsec_"))
	if err != nil || len(secret) < minSecret || len(secret) > maxSecret {
		return nil, fmt.Errorf("is not %d to %d bytes in base64", minSecret, maxSecret)
	}
	return secret, nil
}

// event is what a webhook takes.
type event struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"` // when it was written; the signature's is when it was sent
	Data      struct {
		To   string `json:"to"`
		From string `json:"from,omitempty"`
		Text string `json:"text"`
		Lang string `json:"lang"`
	} `json:"data"`
}

// refused is the status of a message that the webhook never takes.
const refused = 422

// Deliver implements [Gateway].
func (h *Webhook) Deliver(ctx context.Context, out *outbound.Client, m *Message) error {
	e := event{Type: "sms.send", Timestamp: m.Date.UTC()}
	e.Data.To, e.Data.From, e.Data.Text, e.Data.Lang = m.To, m.From, m.Text, m.Lang
	body, err := json.Marshal(e)
	if err != nil {
		return err
	}
	at := strconv.FormatInt(m.At.Unix(), 10)
	answer, err := out.Post(ctx, outbound.Request{URL: h.URL, Operator: true, Blind: true, Header: map[string]string{
		"Webhook-Id": m.ID, "Webhook-Timestamp": at, "Webhook-Signature": sign(h.Secret, m.ID, at, body),
	}}, "application/json", string(body))
	if err != nil {
		return failed(err)
	}
	return refusal(answer.Status, answer.Status == refused, "")
}

// sign is Standard Webhooks 1.0.0's signature by HMAC-SHA256.
func sign(secret []byte, id, at string, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(id + "." + at + "."))
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// refusal is what an answer comes to: nil if the message was taken.
func refusal(status int, final bool, code string) error {
	if outbound.OutcomeOf(status, nil) == outbound.Success {
		return nil
	}
	return &mail.Refusal{Final: final, Apart: final, Code: status, Says: fmt.Sprintf("the gateway answers %d%s", status, code)}
}

// failed is why nothing came back, without the gateway's address.
func failed(err error) error {
	var f *outbound.Error
	if errors.As(err, &f) {
		err = f.Err
	}
	return err
}
