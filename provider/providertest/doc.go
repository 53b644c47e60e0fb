// Package providertest is a whole provider in a test, and what a test needs
// around it: throw-away databases, a clock that moves when it is told to, a
// count of the statements that reach Postgres, a real Chromium with axe, relying
// parties that others wrote.
//
// Every test sees a database of its own, on each of the databases that
// DOORSTEP_TEST_DATABASES names ("sqlite,postgres" unless it is set). Postgres,
// Chromium and Node.js are started once a test process, when the first test asks,
// Apache once a test; they are gone with everything they wrote when the process
// ends, however it ends.
// On a machine without them a test skips and says why; those that
// DOORSTEP_TEST_REQUIRE names ("postgres,chromium,node,apache") make it fail instead.
// TestNeeds says what is missing:
//
//	go test -v -run TestNeeds ./provider/providertest
//
// It must never stand in for our own database or protocol code with a mock,
// sleep in place of waiting for something, use a Postgres that was running
// already, listen on anything but loopback, or be imported by the product.
package providertest
