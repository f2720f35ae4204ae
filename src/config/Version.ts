/** The version of the service and of its command: package.json's, which a test compares. */
export const VERSION = "0.1.0"
