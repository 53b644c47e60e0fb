// Package provider is the composition root: it wires storage, services and
// surfaces together ([Open], [New]), joins every surface's table of routes, and
// runs the listeners until they are told to drain.
//
// The way of the data is one way: a request enters web, a surface parses it and
// makes one call, a service decides and notes its writes in a unit, storage
// carries them out.
//
// It must never hold a rule of the protocol, of the policy or of a page: those
// live in the rooms. It reads no flags, files or environment: cmd fills
// [Config].
package provider
