package api

import "fmt"

// Tag is a name and a value on a key.
type Tag struct {
	TagKey   string // 1..128 characters
	TagValue string // 0..256 characters; absent is empty
}

// tags checks the tags of a request. How many a key may have, and that no key
// stands twice, are rules of the operation.
func (c *Checker) tags(tags []Tag) {
	for i, t := range tags {
		at := fmt.Sprintf("tags.%d.member.", i+1)
		c.must(at+"tagKey", t.TagKey, tagKeyShape)
		c.may(at+"tagValue", t.TagValue, tagValueShape)
	}
}

// TagResourceRequest puts tags on a key; one of the same name is replaced.
type TagResourceRequest struct {
	KeyTarget
	Tags []Tag
}

// Check names what is malformed.
func (r *TagResourceRequest) Check(c *Checker) {
	r.check(c)
	if r.Tags == nil {
		c.null("tags")
	}
	c.tags(r.Tags)
}

// UntagResourceRequest takes tags off a key.
type UntagResourceRequest struct {
	KeyTarget
	TagKeys []string // 1..128 characters each
}

// Check names what is malformed.
func (r *UntagResourceRequest) Check(c *Checker) {
	r.check(c)
	if r.TagKeys == nil {
		c.null("tagKeys")
	}
	c.elements("tagKeys", r.TagKeys, true, tagKeyShape.failure)
}

// ListResourceTagsRequest asks for a page of a key's tags.
type ListResourceTagsRequest struct {
	KeyTarget
	Limit  *int   `json:",omitempty"` // 1..50, 50 if absent
	Marker string `json:",omitempty"`
}

// Check names what is malformed.
func (r *ListResourceTagsRequest) Check(c *Checker) {
	r.check(c)
	c.between("limit", r.Limit, 1, 50)
	c.marker(r.Marker)
}

// ListResourceTagsResponse is a page of tags, by key.
type ListResourceTagsResponse struct {
	Tags       []Tag
	NextMarker string `json:",omitempty"`
	Truncated  bool
}
