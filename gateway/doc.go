// Package gateway is the service between the two faces (REST, AWS) and the
// token. Every call takes the same straight line, in [Service.Do]:
//
//	face               authenticate -> Principal; body limit
//	 └ Service.Do      1 decode, validate   typed errors, before anything is touched
//	                   2 resolve            key, version, alias: from memory
//	                   3 policy.Evaluate    default deny
//	                   4 the operation      state and usage checks; then the token
//	                   5 audit.Append       durable before any byte leaves; if it
//	                                        fails, the result is thrown away
//	 └ face            encode the result or the error
//
// Steps 1 to 4 stand in one inner function, so every way out, a denial too,
// reaches step 5. [Ops] is the one table of operations: from an operation's name
// come its REST route, its AWS target, its permission (kms:Name), the eventName
// of its audit record and its metric label.
package gateway
