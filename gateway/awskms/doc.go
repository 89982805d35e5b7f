// Package awskms serves the AWS KMS JSON 1.1 protocol (awsJson1_1) at POST /,
// so that unmodified AWS clients work by pointing their endpoint here.
//
// The operation is named by X-Amz-Target (TrentService.Sign), the body is one
// JSON object, and the request is signed with Signature Version 4. Each request
// is authenticated over its raw bytes before anything in it is acted upon.
// What is wrong is then told in the order in which AWS tells it: an unreadable
// body, an unknown operation, the authentication, and last what the service
// itself has to say. Every authenticated call leaves one audit record, also
// where the answer is one of the first two; a call that is not authenticated
// leaves a line in the operations log and a count.
//
// The signature is accepted in the Authorization header alone, made with an
// access key of this gateway, for one of its regions and the service kms, at
// most five minutes from now. It must cover Host, X-Amz-Date, X-Amz-Target and,
// with a temporary access key, X-Amz-Security-Token; the body it covers by its hash. Content-Type need not be covered (the PHP SDK
// leaves it out): one value of it is accepted, so it decides nothing.
//
// A form, in place of JSON, is a request to AWS STS (awsQuery, 2011-06-15), of which
// a few operations are here: those by which clients get temporary access keys.
package awskms
