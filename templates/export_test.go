package templates

// EveryPage is everyPage, for the test that has a browser look at them.
var EveryPage = everyPage

// FileOf is the file that a view is rendered from.
func FileOf(page any) string { return page.(view).file() }
