// Package web is what every surface stands on: it turns a [Route] into an
// http.Handler and owns cookies, form tokens, the client's address, the
// language of a page, the error page and the one log event per request (of a public
// document that was read as it should be, with the level debug alone).
//
// A handler has the shape of [HandlerFunc]: it parses, makes one service call
// and answers or returns an error; which status an error gets is decided here,
// once ([Status]). [Web.Handle] has checked the request before the handler sees
// it: its size, that every parameter is valid UTF-8 without NUL, and for
// routes with CSRF that the form was sent from our own page in this browser. Pages have
// a second face in JSON (face.go).
//
// What holds for every answer: no-store and no-referrer unless the handler says
// otherwise, a Content-Security-Policy that allows nothing until [Web.Page]
// opens it for one page with one nonce, no framing. The issuer is configuration: no
// address is ever made from a Host or Forwarded header.
//
// It must never decide anything about people, clients or tokens, never log a
// secret, a query string, an address or a user agent in the clear, and never
// redirect. It imports storage for its outcomes alone.
//
// Notes
//
//   - 2026-11-22: Referrer-Policy: no-referrer makes browsers send
//     "Origin: null" with our own forms; such a request counts as ours only
//     when Sec-Fetch-Site says same-origin.
//   - 2026-11-22: the language that a person picks on a page of ours (?lang=,
//     kept until the browser closes) goes before the ui_locales of the app,
//     else the links in the footer would do nothing.
package web
