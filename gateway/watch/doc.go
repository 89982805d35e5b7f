// Package watch looks at the records of the audit log for unusual patterns. It is pure: no I/O, no clock but the times
// of the records, so the same records give the same alerts, in the daemon that follows its log and in
// 'hsmgate usage replay', which asks an old one.
//
// # Use
//
// Make a Detector with New and give it every record in the order of the log by Observe, which answers with the alerts
// that the record gives rise to. Snapshot and Restore keep what it has learned. Usage counts the same records by the
// hour, for people.
//
// # Rules
//
// Each stands in a file of its own (rule_*.go), with what it says and why it is robust. A rule speaks of a subject (a
// key, a principal, or both) and once a Repeat: what it would have said meanwhile is counted, and told with the next.
// Sessions of a role are one principal, the role: their names cost nothing to make.
//
// # What is learned, and forgotten
//
// Rules that compare with what was before are silent about a subject until it is known for Learn. Of the keys,
// principals and pairs that are too many to hold (the caps in watch.go) those are forgotten that were not seen for
// longest; they are learned anew, and the rules are silent about them for as long. What was not done for Forget is new when
// it is done again: that a principal comes back to a key is a first use. But no rule is silent about a principal that was
// away for longer: it is compared with the networks and hours from before.
//
// What alarms is learned, too, since it may be right: a first use is none the second time, and an unusual hour is none
// the third.
package watch
