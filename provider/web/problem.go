package web

import (
	"net/http"
	"strings"

	"github.com/doorstep-id/doorstep/provider/fault"
)

// Problem is an error for programs (RFC 9457): every one of the API, and of pages' JSON
// face.
type Problem struct {
	Type      string       `json:"type" required:"true" example:"about:blank" doc:"Always about:blank: title and status say what kind of problem it is (RFC 9457 section 4.2.1)."`
	Title     string       `json:"title" required:"true" example:"Bad Request" doc:"The status in words."`
	Status    int          `json:"status" required:"true" example:"400" doc:"The HTTP status."`
	Code      string       `json:"code" required:"true" example:"invalid" doc:"The kind of problem, for machines."`
	Detail    string       `json:"detail,omitempty" example:"redirect_uris: \"ftp://a.example\" must be https" doc:"What is wrong, for humans."`
	Errors    []FieldError `json:"errors,omitempty" doc:"Every fault by itself, so that all are mended in one go."`
	RequestID string       `json:"request_id" required:"true" example:"IQJ4PVBC2UYZRNH6" doc:"By which the server's log knows the request."`
}

// FieldError is one fault of a request.
type FieldError struct {
	Field  string `json:"field,omitempty" example:"redirect_uris" doc:"The member, parameter or header that it is about; none for the request as a whole."`
	Detail string `json:"detail" required:"true" example:"\"ftp://a.example\" must be https" doc:"What is wrong with it."`
}

// ProblemType is the media type of a Problem (RFC 9457 section 3).
const ProblemType = "application/problem+json"

// Error implements error.
func (p *Problem) Error() string { return p.Title + ": " + p.Detail }

// GetStatus and ContentType serve the library that writes the API's errors.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType returns ProblemType, whatever was negotiated.
func (p *Problem) ContentType(string) string { return ProblemType }

// NewProblem is the one mapping from an error to what programs are told of it.
func NewProblem(requestID string, err error) *Problem {
	status, _ := Status(err)
	p := &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Code: Code(status), RequestID: requestID}
	all := fault.All(err)
	if len(all) > 0 && all[0].Code != "" {
		p.Code = all[0].Code
	}
	var shown []string
	for _, f := range all {
		shown = append(shown, f.Shown())
		if f.Field != "" || len(all) > 1 {
			p.Errors = append(p.Errors, FieldError{f.Field, f.Message})
		}
	}
	switch {
	case len(shown) > 0:
		p.Detail = strings.Join(shown, "; ")
	case status == http.StatusNotFound:
		p.Detail = "there is no such thing"
	case status == http.StatusServiceUnavailable:
		p.Detail = "not available at the moment"
	case status >= http.StatusInternalServerError:
		p.Detail = "something went wrong here; it has been noted"
	}
	return p
}
