package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// The versions that are written. A reader accepts its own and older ones; a new
// version is one more case in decode, never an edit of an old one.
const (
	standingVersion = 1
	// Of a browser 1 knew whether it was one of the person's, and no more; 2 knew three
	// values, by names.
	decisionVersion = 3
	historyVersion  = 2 // 1 had no values
)

// ErrVersion says that a document was written by a newer program than this one.
var ErrVersion = errors.New("policy: document of an unknown version")

// Standing is what a session stands on: the evidence given in it, and the last
// decision about it with the circumstances that this was made in. While they
// stay the same the decision stands.
type Standing struct {
	Evidence []Evidence `json:"evidence"`
	Device   string     `json:"device,omitempty"` // the browser that it was proven in
	Tier     Tier       `json:"tier,omitempty"`   // what that reached; "" in documents from before there were any
	// AsksSince is when the person signed in with one factor and wants to be asked for another;
	// zero once they gave it, and where there is nothing to ask for.
	AsksSince     time.Time `json:"asks_since,omitzero"`
	Circumstances string    `json:"circumstances,omitempty"` // risk's fingerprint of the facts seen
	Decision      Decision  `json:"decision"`                // without its reasons: those are in its own row
}

// Record is a stored decision: what was decided, and on what.
type Record struct {
	Decision Decision `json:"decision"`
	Facts    Facts    `json:"facts"`
	Scorers  []string `json:"scorers,omitempty"` // that were asked, name@version each
	// Medium and High are the scores from which it would have been so; nil: none.
	Medium *float64 `json:"medium,omitempty"`
	High   *float64 `json:"high,omitempty"`
}

// EncodeStanding writes a session's document.
func EncodeStanding(s Standing) (json.RawMessage, error) {
	s.Decision.Reasons = nil
	return encode(standingVersion, s)
}

// DecodeStanding reads a session's document.
func DecodeStanding(doc json.RawMessage) (Standing, error) {
	return decode[Standing](standingVersion, doc)
}

// EncodeDecision writes a decision with its facts.
func EncodeDecision(r Record) (json.RawMessage, error) { return encode(decisionVersion, r) }

// DecodeDecision reads a decision with its facts.
func DecodeDecision(doc json.RawMessage) (Record, error) {
	r, err := decode[Record](decisionVersion, doc)
	version := versionOf(doc)
	if err != nil || version > 2 {
		return r, err
	}
	old, err := decode[recordV2](decisionVersion, doc)
	r.Facts.Values[Device].Value = old.Facts.Device
	r.Facts.Values[Block].Value = old.Facts.Network
	r.Facts.Values[Agent].Value = old.Facts.Agent
	if version == 1 {
		r.Facts.DeviceTier = TierNone
		if old.Facts.DeviceKnown {
			r.Facts.DeviceTier = TierCookie
		}
	}
	return r, err
}

// recordV2 is what the first two versions of [Record] had in another form.
type recordV2 struct {
	Facts struct {
		DeviceKnown bool `json:"device_known"` // in the first
		Device      Hash `json:"device"`
		Network     Hash `json:"network"`
		Agent       Hash `json:"agent"`
	} `json:"facts"`
}

// EncodeHistory writes a person's history.
func EncodeHistory(h History) (json.RawMessage, error) {
	body, err := h.MarshalBinary()
	if err != nil {
		return nil, err
	}
	return encode(historyVersion, body)
}

// DecodeHistory reads a person's history; no document is the empty history.
func DecodeHistory(doc json.RawMessage) (History, error) {
	if len(doc) == 0 {
		return History{}, nil
	}
	if versionOf(doc) == 1 {
		old, err := decode[historyV1](historyVersion, doc)
		return History{SignIns: old.SignIns, FirstAt: old.FirstAt, LastAt: old.LastAt, weight: float64(old.SignIns)}, err
	}
	body, err := decode[[]byte](historyVersion, doc)
	if err != nil {
		return History{}, err
	}
	var h History
	err = h.UnmarshalBinary(body)
	return h, err
}

// historyV1 is the first version of [History].
type historyV1 struct {
	SignIns int64     `json:"sign_ins"`
	FirstAt time.Time `json:"first_at"`
	LastAt  time.Time `json:"last_at"`
}

// versioned is the envelope; its body stays raw until the version is known.
type versioned struct {
	Version int             `json:"v"`
	Body    json.RawMessage `json:"is"`
}

// versionOf is that of a document which was read.
func versionOf(doc json.RawMessage) int {
	var v versioned
	_ = json.Unmarshal(doc, &v)
	return v.Version
}

func encode[T any](version int, body T) (json.RawMessage, error) {
	is, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("policy: encode %T: %w", body, err)
	}
	return json.Marshal(versioned{version, is})
}

func decode[T any](newest int, doc json.RawMessage) (body T, err error) {
	var v versioned
	if err := json.Unmarshal(doc, &v); err != nil {
		return body, fmt.Errorf("policy: decode %T: %w", body, err)
	}
	if v.Version < 1 || v.Version > newest {
		return body, fmt.Errorf("%w: %T %d", ErrVersion, body, v.Version)
	}
	if err := json.Unmarshal(v.Body, &body); err != nil {
		return body, fmt.Errorf("policy: decode %T: %w", body, err)
	}
	return body, nil
}
