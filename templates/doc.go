// Package templates turns view structs into the bytes of Doorstep's pages and mails: HTML, styles, the Figtree font, icons,
// a small script and the words in English, Swedish and Spanish, all embedded.
//
// A surface fills one of the structs in views.go, signinviews.go and accountviews.go and calls [Pages.Render]. The stylesheet, script, font and favicon are
// in [Assets], under names that carry a hash of their content, so that they may be cached for a year.
//
// What every page holds to:
//   - it works without JavaScript; the script adds focus on a problem, "show password" and a guard against sending twice;
//   - it needs nothing but style-src, font-src and img-src 'self', a script nonce and the form-action of its form:
//     no inline style, no inline handler, nothing from another origin;
//   - WCAG 2.2 AA: labels, one h1, landmarks, targets of 44 px, contrast in light and dark, 320 px and 400 % zoom;
//   - html, styles, script and font together stay below 60 kB.
//
// A mail is a view of mailviews.go and [Mails.Render]: a subject, a text, and HTML that stands alone, with styles in it (programs that
// show mails load none), no image, and a dark scheme. Every mail has one clear action and says what to do if it was not its reader.
//
// It must never import another package of Doorstep nor net/http, read the clock, or decide anything: which problem, which
// scopes, which links to show is the caller's knowledge. It never prints an address with a scheme that a browser would
// run (javascript:, data:), even when a caller passes one.
//
// Words live in locales/*.json, one flat list of keys per language. A page names its messages with {{t "key" "Name" value}};
// tests fail on a message that is missing or unused in any language, and on placeholders that do not agree.
package templates
