package identity

const certificateProvider = "certificate"
